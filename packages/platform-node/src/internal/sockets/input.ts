/**
 * What a socket is read into. undici and `node:http` take new memory for each read, and collecting it is most of a large
 * download; here a large body is read into one buffer again and again, and everything else into a small one.
 */
import type { OnReadOpts } from "node:net"

/** Enough for the head of an answer and most bodies of JSON; TLS never gives more in one read. */
const SMALL_BYTES = 16 * 1024
/** For the rest of a large body. The system backs only what is used of it. */
const LARGE_BYTES = 2 * 1024 * 1024

/** Receives what was read, and returns whether to read on. The bytes are valid until it reads on. */
export type OnBytes = (bytes: Buffer) => boolean

export class Input {
  readonly #small = Buffer.allocUnsafeSlow(SMALL_BYTES)
  /** Only while a large body is read. */
  #large: Buffer | undefined
  #wasFull = false
  /** Whether something came before a connection took it. */
  isUnasked = false
  /** Before the connection is made, nothing is expected. */
  onBytes: OnBytes = () => {
    this.isUnasked = true
    return false
  }
  /** How many bytes of a body are still to come: `Infinity` where the host does not say. */
  remaining: () => number = () => 0

  readonly onread: OnReadOpts = {
    buffer: () => this.#next(),
    callback: (count, buffer) => {
      this.#wasFull = count === buffer.length
      return this.onBytes((buffer as Buffer).subarray(0, count))
    }
  }

  /** Node asks for it before each read. */
  #next(): Buffer {
    const remaining = this.remaining()
    const isLarge = this.#large !== undefined || remaining !== Infinity || this.#wasFull
    this.#large = remaining > SMALL_BYTES && isLarge ? this.#large ?? Buffer.allocUnsafeSlow(LARGE_BYTES) : undefined
    return this.#large ?? this.#small
  }
}
