/**
 * Parses `application/x-www-form-urlencoded` in pieces, in linear time and constant memory. `URLSearchParams` needs the whole
 * body at once, and its time is quadratic in the number of fields.
 */

/** Receives the bytes of a value, and `null` at its end. The bytes are only valid during the call. */
export type Sink = (bytes: Uint8Array | null) => void

export interface Options {
  /** Most fields of a body. */
  readonly maxFields: number
  /** Called with the name of each field; returns the receiver of its value. A name beyond `MAX_NAME_BYTES` is cut. */
  readonly onField: (name: string) => Sink
  /** Called once if there are more than `maxFields`; the rest is not parsed. */
  readonly onTooMany: () => void
}

export interface Parser {
  readonly write: (chunk: Uint8Array) => void
  readonly end: () => void
}

const MAX_NAME_BYTES = 256

const PERCENT = 0x25
const AMPERSAND = 0x26
const PLUS = 0x2b
const EQUALS = 0x3d

/** The value of a hexadecimal digit, or -1. */
const digit = (byte: number): number => {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}

const decoder = new TextDecoder()

export const make = ({ maxFields, onField, onTooMany }: Options): Parser => {
  const name = new Uint8Array(MAX_NAME_BYTES)
  let nameLength = 0
  let fields = 0
  let stopped = false
  /** Whether the current field has begun: `&&` has no field in between. */
  let begun = false
  let sink: Sink | undefined
  /** Bytes of an incomplete escape: `%`, or `%` and its first digit. */
  let escape = 0
  let first = 0
  let out = new Uint8Array(0)
  let length = 0

  const emit = (byte: number): void => {
    if (sink !== undefined) out[length++] = byte
    else if (nameLength < MAX_NAME_BYTES) name[nameLength++] = byte
  }

  /** An invalid escape is literal. */
  const literal = (): void => {
    if (escape === 0) return
    emit(PERCENT)
    if (escape === 2) emit(first)
    escape = 0
  }

  const flush = (): void => {
    if (length > 0) sink?.(out.subarray(0, length))
    length = 0
  }

  const beginValue = (): void => {
    literal()
    if (++fields > maxFields) {
      stopped = true
      return onTooMany()
    }
    sink = onField(decoder.decode(name.subarray(0, nameLength)))
    nameLength = 0
  }

  const endField = (): void => {
    if (!begun) return
    if (sink === undefined) beginValue()
    if (stopped) return
    literal()
    flush()
    sink!(null)
    sink = undefined
    begun = false
  }

  const write = (chunk: Uint8Array): void => {
    if (stopped) return
    // An escape of the previous chunk may turn out to be two literal bytes.
    out = new Uint8Array(chunk.length + 2)
    for (let i = 0; i < chunk.length && !stopped; i++) {
      const byte = chunk[i]!
      if (byte === AMPERSAND) {
        endField()
        continue
      }
      begun = true
      if (escape > 0) {
        const value = digit(byte)
        if (value >= 0) {
          if (escape === 2) {
            escape = 0
            emit(digit(first) * 16 + value)
          } else {
            escape = 2
            first = byte
          }
          continue
        }
        literal()
      }
      if (byte === PERCENT) escape = 1
      else if (byte === PLUS) emit(0x20)
      else if (byte === EQUALS && sink === undefined) beginValue()
      else emit(byte)
    }
    flush()
    out = new Uint8Array(0)
  }

  const end = (): void => {
    if (stopped) return
    out = new Uint8Array(2)
    endField()
  }

  return { write, end }
}
