/**
 * Bodies that lie in several pieces of memory.
 *
 * **When to use**
 *
 * Use it in an HTTP client that can write several pieces at once: the content of a small file then goes from where it lies to
 * the socket, instead of being put together with the rest of its form first.
 *
 * @since 0.1.0
 */
import * as HttpBody from "effect/http/HttpBody"
import { concat } from "./internal/shared/bytes.ts"

/**
 * A body of bytes for every HTTP client, which puts the pieces together only for a client that asks for `body`.
 *
 * @category models
 * @since 0.1.0
 */
export class PartedBody extends HttpBody.Uint8Array {
  /** The bytes, in their order. */
  readonly parts: ReadonlyArray<Uint8Array>
  #whole: Uint8Array | undefined

  constructor(parts: ReadonlyArray<Uint8Array>, contentType: string) {
    super(undefined, contentType, parts.reduce((sum, part) => sum + part.length, 0))
    this.parts = parts
  }

  override get body(): Uint8Array {
    return this.#whole ??= concat(this.parts, this.contentLength)
  }
}

/**
 * The pieces of a body of bytes.
 *
 * @category accessors
 * @since 0.1.0
 */
export const parts = (body: HttpBody.Uint8Array): ReadonlyArray<Uint8Array> =>
  body instanceof PartedBody ? body.parts : [body.body]
