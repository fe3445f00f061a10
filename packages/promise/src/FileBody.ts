/**
 * Content to upload: text, bytes, a `Blob`, or an async iterable of bytes.
 *
 * @since 0.1.0
 */
import * as ClientFileBody from "@effect-fileio/client/FileBody"
import { toStream } from "./internal/toStream.ts"

export {
  blob,
  bytes,
  type Chunk,
  type FileBody,
  type OneShotBody,
  type Options,
  text
} from "@effect-fileio/client/FileBody"

/**
 * Name, MIME type and, if known, size of a stream.
 *
 * @category models
 * @since 0.1.0
 */
export interface StreamOptions extends ClientFileBody.Options {
  /** Size in bytes, if known; the upload fails if the stream has another size. */
  readonly size?: number | undefined
}

/**
 * An async iterable of bytes or text that can be created again for each attempt, such as a Node stream or a
 * `ReadableStream`.
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
    // The client refuses anything that is no function or returns no stream.
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
