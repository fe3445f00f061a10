/**
 * What is uploaded: text, bytes, a `Blob`, or an async iterable of bytes.
 *
 * @since 0.1.0
 */
import * as ClientFileBody from "@effect-fileio/client/FileBody"
import * as Stream from "effect/Stream"

export {
  /**
   * A `Blob` or `File` of the web platform.
   *
   * @category constructors
   * @since 0.1.0
   */
  blob,
  /**
   * Bytes in memory. They are not copied: do not change them while they are sent.
   *
   * @category constructors
   * @since 0.1.0
   */
  bytes,
  /**
   * A body that can be opened again, so that an attempt that failed can be repeated.
   *
   * @category models
   * @since 0.1.0
   */
  type FileBody,
  /**
   * A body that can be read once. Send it with `uploadOnce`, which never repeats it.
   *
   * @category models
   * @since 0.1.0
   */
  type OneShotBody,
  /**
   * Name and MIME type of a body.
   *
   * @category models
   * @since 0.1.0
   */
  type Options,
  /**
   * A text, sent as UTF-8.
   *
   * @category constructors
   * @since 0.1.0
   */
  text
} from "@effect-fileio/client/FileBody"

/**
 * Name, MIME type and, where it is known, size of a stream.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamOptions extends ClientFileBody.Options {
  /** Size in bytes, if it is known; the upload fails when the stream gives another number. */
  readonly size?: number | undefined
}

/**
 * An async iterable that can be made anew for each attempt, such as a Node stream or a `ReadableStream`.
 *
 * **Example** (A generator)
 *
 * ```ts
 * import { FileBody } from "@effect-fileio/promise"
 *
 * const lines = async function*() {
 *   for (let n = 1; n <= 3; n++) yield new TextEncoder().encode(`line ${n}\n`)
 * }
 *
 * const body = FileBody.stream(lines, { name: "lines.txt" })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const stream = (make: () => AsyncIterable<Uint8Array>, options: StreamOptions): ClientFileBody.FileBody =>
  ClientFileBody.stream(() => Stream.fromAsyncIterable(make(), (cause) => cause), options)

/**
 * An async iterable that can be read only once; see `uploadOnce`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const once = (content: AsyncIterable<Uint8Array>, options?: StreamOptions): ClientFileBody.OneShotBody =>
  ClientFileBody.once(Stream.fromAsyncIterable(content, (cause) => cause), options)
