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
   * Bytes in memory: of a `Uint8Array`, of any other view, of an `ArrayBuffer`, or a text as UTF-8. They are not copied: do
   * not change them while they are sent.
   *
   * @category constructors
   * @since 0.1.0
   */
  bytes,
  /**
   * What is sent: text, as UTF-8, or memory, as the bytes that it holds.
   *
   * @category models
   * @since 0.1.0
   */
  type Chunk,
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

/** Streams of the web that cannot be iterated over, as in some browsers, are read by their readers. */
const toStream = (content: unknown): Stream.Stream<ClientFileBody.Chunk, unknown> | undefined => {
  if (typeof content !== "object" || content === null) return undefined
  if (Symbol.asyncIterator in content) {
    return Stream.fromAsyncIterable(content as AsyncIterable<ClientFileBody.Chunk>, (cause) => cause)
  }
  return "getReader" in content
    ? Stream.fromReadableStream({
      evaluate: () => content as ReadableStream<ClientFileBody.Chunk>,
      onError: (cause) => cause
    })
    : undefined
}

/**
 * An async iterable of bytes or text that can be made anew for each attempt, such as a Node stream or a `ReadableStream`.
 *
 * **Example** (A generator)
 *
 * ```ts
 * import { FileBody } from "@effect-fileio/promise"
 *
 * const lines = async function*() {
 *   for (let n = 1; n <= 3; n++) yield `line ${n}\n`
 * }
 *
 * const body = FileBody.stream(lines, { name: "lines.txt" })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const stream = (
  make: () => AsyncIterable<ClientFileBody.Chunk>,
  options: StreamOptions
): ClientFileBody.FileBody =>
  ClientFileBody.stream(
    // What is no function, or gives no stream, is refused there.
    typeof make === "function"
      ? () => {
        const made = make()
        return toStream(made) ?? (made as never)
      }
      : make,
    options
  )

/**
 * An async iterable of bytes or text that can be read only once; see `uploadOnce`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const once = (
  content: AsyncIterable<ClientFileBody.Chunk>,
  options?: StreamOptions
): ClientFileBody.OneShotBody => ClientFileBody.once(toStream(content) ?? (content as never), options)
