/**
 * The buffers into which a socket reads. undici and `node:http` allocate for each read, and collecting that memory is
 * most of the cost of a large download; here a large body is read into one buffer again and again, and everything else
 * into a small one.
 */
import type { OnReadOpts } from "node:net"

/** Enough for the head of a response and most JSON bodies; TLS never gives more in one read. */
const SMALL_BYTES = 16 * 1024
/** For the rest of a large body. The system backs only the used part of it. */
const LARGE_BYTES = 2 * 1024 * 1024

/** Receives bytes, and returns whether to continue. The bytes are valid until the next read. */
type OnBytes = (bytes: Buffer) => boolean

export class Input {
  readonly #small = Buffer.allocUnsafeSlow(SMALL_BYTES)
  /** Allocated only while a large body is read. */
  #large: Buffer | undefined
  #wasFull = false
  /** Whether bytes arrived before a connection took over. */
  isUnasked = false
  /** Before the connection is made, nothing is expected. */
  onBytes: OnBytes = () => {
    this.isUnasked = true
    return false
  }
  /** How many bytes of a body are still to come: `Infinity` if the host does not say. */
  remaining: () => number = () => 0

  readonly onread: OnReadOpts = {
    buffer: () => this.#next(),
    callback: (count, buffer) => {
      this.#wasFull = count === buffer.length
      return this.onBytes((buffer as Buffer).subarray(0, count))
    }
  }

  /** Node calls it before each read. */
  #next(): Buffer {
    const remaining = this.remaining()
    const isLarge = this.#large !== undefined || remaining !== Infinity || this.#wasFull
    this.#large = remaining > SMALL_BYTES && isLarge ? this.#large ?? Buffer.allocUnsafeSlow(LARGE_BYTES) : undefined
    return this.#large ?? this.#small
  }
}
