/**
 * The payload of an age file: chunks of 64 KiB, each encrypted under a nonce that counts them and marks the last one (STREAM,
 * https://age-encryption.org/v1#payload). Works in both directions, one push of bytes at a time; `encrypt` and `decrypt` drive
 * it.
 */
import type { Cipher } from "../../Platform.ts"
import { concat } from "../shared/bytes.ts"
import { Fault } from "./fault.ts"

/** Bytes of plaintext in a chunk; only the last one may have fewer. */
export const PLAIN_CHUNK = 64 * 1024
/** Bytes of the tag of a chunk. */
const TAG = 16
/** Bytes of an encrypted chunk. */
export const SEALED_CHUNK = PLAIN_CHUNK + TAG

/** Bytes of the payload of this much plaintext. */
export const sealedSize = (plain: number): number => plain + TAG * Math.max(1, Math.ceil(plain / PLAIN_CHUNK))

/** Bytes of plaintext in a payload; `undefined` if no payload has this size. */
export const plainSize = (sealed: number): number | undefined => {
  const plain = sealed - TAG * Math.max(1, Math.ceil(sealed / SEALED_CHUNK))
  return plain >= 0 && sealedSize(plain) === sealed ? plain : undefined
}

/** Bytes of input to process before other fibers run: about a millisecond's, a few milliseconds' in plain JavaScript. */
export const STEP = 8 * SEALED_CHUNK

/** Result of a chunk. An authentic chunk may come with an error: the file ends in the wrong place. */
interface Done {
  readonly isAuthentic: boolean
  readonly fault: Fault | undefined
}

const RIGHT: Done = { isAuthentic: true, fault: undefined }
const CUT: Done = { isAuthentic: false, fault: new Fault("cut", "its last bytes are missing") }

/** One direction: converts a chunk of `from` bytes to one of `to` bytes, or returns an error. */
abstract class Chunks {
  readonly #from: number
  readonly #to: number
  readonly #pending: Uint8Array
  #filled = 0
  readonly #buffers: Array<Uint8Array> | undefined
  #turn = 0
  /** An error behind valid chunks, which are returned first. */
  #fault: Fault | undefined
  #isEnded = false
  /** How many chunks were converted, counted from the first of the payload. */
  index = 0
  /** After an error: the input from the chunk with the error on. */
  held: Uint8Array = new Uint8Array(0)
  readonly #nonce = new Uint8Array(12)

  constructor(from: number, to: number, buffers: "owned" | "reused") {
    this.#from = from
    this.#to = to
    this.#pending = new Uint8Array(from)
    this.#buffers = buffers === "reused" ? [] : undefined
  }

  protected abstract apply(chunk: Uint8Array, isLast: boolean, into: Uint8Array): Done

  /** Counts in the first eleven bytes; the twelfth marks the last chunk. */
  protected nonce(isLast: boolean): Uint8Array {
    const view = new DataView(this.#nonce.buffer)
    view.setUint32(3, Math.floor(this.index / 2 ** 32))
    view.setUint32(7, this.index >>> 0)
    this.#nonce[11] = isLast ? 1 : 0
    return this.#nonce
  }

  #output(bytes: number): Uint8Array {
    if (this.#buffers === undefined) return new Uint8Array(bytes)
    this.#turn = 1 - this.#turn
    const there = this.#buffers[this.#turn]
    const buffer = there !== undefined && there.length >= bytes ? there : new Uint8Array(bytes)
    this.#buffers[this.#turn] = buffer
    return buffer.subarray(0, bytes)
  }

  /** Returns the output of complete chunks that are certainly not the last; empty if there are none yet. */
  push(bytes: Uint8Array): Uint8Array | Fault | undefined {
    if (this.#fault !== undefined) {
      this.held = concat([this.held, bytes], this.held.length + bytes.length)
      return this.#fault
    }
    const total = this.#filled + bytes.length
    const count = Math.max(0, Math.ceil(total / this.#from) - 1)
    const output = count === 0 ? undefined : this.#output(count * this.#to)
    let at = 0
    for (let n = 0; n < count; n++) {
      let chunk = bytes.subarray(at, at + this.#from)
      if (this.#filled > 0) {
        const missing = this.#from - this.#filled
        this.#pending.set(bytes.subarray(at, at + missing), this.#filled)
        chunk = this.#pending
        at += missing
        this.#filled = 0
      } else at += this.#from
      const done = this.apply(chunk, false, output!.subarray(n * this.#to, (n + 1) * this.#to))
      if (done.fault !== undefined) {
        this.#fault = done.fault
        this.held = concat([chunk, bytes.subarray(at)], chunk.length + bytes.length - at).slice()
        const authentic = n + (done.isAuthentic ? 1 : 0)
        return authentic === 0 ? done.fault : output!.subarray(0, authentic * this.#to)
      }
      this.index++
    }
    this.#pending.set(bytes.subarray(at), this.#filled)
    this.#filled += bytes.length - at
    return output
  }

  /**
   * Returns the output of the last chunk, then the error, if any; call it until it returns nothing. Without `isLast`, the bytes
   * end here, but not the payload.
   */
  end(isLast = true): Uint8Array | Fault | undefined {
    if (this.#fault !== undefined) return this.#fault
    if (this.#isEnded) return undefined
    this.#isEnded = true
    const size = this.#filled + this.#to - this.#from
    const chunk = this.#pending.subarray(0, this.#filled)
    const output = this.#output(Math.max(0, size))
    const done = size < 0 ? CUT : this.apply(chunk, isLast, output)
    this.#fault = done.fault
    if (done.fault !== undefined) this.held = chunk
    return done.isAuthentic ? output : done.fault
  }
}

/** How many chunks are remembered, the newest ones: 64 GiB of plaintext, in 8 MiB of memory. */
const MAX_REMEMBERED = 2 ** 20
const REMEMBERED_BYTES = 8

/**
 * Remembers what was encrypted under a key: the first half of each chunk's tag. Two contents under one key would reveal both,
 * so a source that has changed when it is opened again is detected before a byte of it is encrypted and sent.
 */
export class Sealed {
  #tags = new Uint8Array(64 * REMEMBERED_BYTES)
  /** How many chunks were encrypted, from the first one on. */
  count = 0

  /** Whether a chunk is the first one in its position, or the same as before; `undefined` if that is not remembered. */
  isSame(index: number, tag: Uint8Array): boolean | undefined {
    if (index < this.count - MAX_REMEMBERED) return undefined
    const at = (index % MAX_REMEMBERED) * REMEMBERED_BYTES
    if (index < this.count) {
      return this.#tags.subarray(at, at + REMEMBERED_BYTES).every((byte, i) => byte === tag[i])
    }
    this.count = index + 1
    if (at >= this.#tags.length) {
      const larger = new Uint8Array(this.#tags.length * 2)
      larger.set(this.#tags)
      this.#tags = larger
    }
    this.#tags.set(tag.subarray(0, REMEMBERED_BYTES), at)
    return true
  }
}

/** Encrypts. `sealed` belongs to the key. */
export class Sealing extends Chunks {
  readonly #cipher: Cipher
  readonly #key: Uint8Array
  readonly #sealed: Sealed

  /** `first` is the chunk to start with. */
  constructor(cipher: Cipher, key: Uint8Array, sealed: Sealed, buffers: "owned" | "reused", first = 0) {
    super(PLAIN_CHUNK, SEALED_CHUNK, buffers)
    this.index = first
    this.#cipher = cipher
    this.#key = key
    this.#sealed = sealed
  }

  protected apply(chunk: Uint8Array, isLast: boolean, into: Uint8Array): Done {
    this.#cipher.seal(this.#key, this.nonce(isLast), chunk, into)
    const isSame = this.#sealed.isSame(this.index, into.subarray(chunk.length))
    if (isSame === true) return RIGHT
    const problem = isSame === false
      ? "it gave other bytes than when it was opened before; send it again, as a new upload"
      : "more of it was sent before than can be compared; send it again, as a new upload"
    return { isAuthentic: false, fault: new Fault("changed", problem) }
  }
}

/** Decrypts, and returns only authentic bytes. */
export class Opening extends Chunks {
  readonly #cipher: Cipher
  readonly #key: Uint8Array
  readonly #isStrict: boolean

  /** `first` is the chunk to start with. If strict, it does not return an authentic chunk in the wrong position. */
  constructor(cipher: Cipher, key: Uint8Array, buffers: "owned" | "reused", first = 0, isStrict = false) {
    super(SEALED_CHUNK, PLAIN_CHUNK, buffers)
    this.index = first
    this.#cipher = cipher
    this.#key = key
    this.#isStrict = isStrict
  }

  protected apply(chunk: Uint8Array, isLast: boolean, into: Uint8Array): Done {
    const opens = (asLast: boolean) => this.#cipher.open(this.#key, this.nonce(asLast), chunk, into)
    const wrong = (fault: Fault, isAuthentic = false): Done => ({ isAuthentic: isAuthentic && !this.#isStrict, fault })
    const number = this.index + 1
    if (opens(isLast)) {
      return isLast && into.length === 0 && this.index > 0
        ? wrong(new Fault("malformed", "its last chunk is empty"))
        : RIGHT
    }
    // A complete chunk may be authentic and in the wrong position.
    if (chunk.length === SEALED_CHUNK && opens(!isLast)) {
      return wrong(
        isLast ? new Fault("cut", `it ends after chunk ${number}`) : new Fault("changed", "bytes follow its end"),
        true
      )
    }
    return wrong(
      new Fault("changed", isLast ? `within its last chunk (${number}), or cut there` : `within chunk ${number}`)
    )
  }
}
