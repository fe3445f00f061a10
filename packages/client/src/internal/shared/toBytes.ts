/**
 * Converts values to bytes: text as UTF-8, and memory as its bytes, whatever its view. Refuses anything else, since JavaScript
 * would convert it to zeros or to meaningless words.
 */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { followedBy, mapChunks } from "./bytes.ts"

const encoder = new TextEncoder()

/** Also from another realm, such as a frame or a virtual machine, which has other classes. */
const isBuffer = (value: unknown): value is ArrayBufferLike =>
  /^\[object (?:Shared)?ArrayBuffer\]$/.test(Object.prototype.toString.call(value))

/** The bytes of a text or of memory, the latter without a copy; `undefined` for anything else. */
export const of = (value: unknown): Uint8Array | undefined =>
  value instanceof Uint8Array
    ? value
    : typeof value === "string"
    ? encoder.encode(value)
    : ArrayBuffer.isView(value)
    ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    : isBuffer(value)
    ? new Uint8Array(value)
    : undefined

/** Describes a value in a word or two, without its content. */
export const nameOf = (value: unknown): string => {
  if (value === null || value === undefined) return String(value)
  if (typeof value !== "object") return `a ${typeof value}`
  if (Array.isArray(value)) return "an array"
  const name: unknown = (value as { readonly constructor?: { readonly name?: unknown } }).constructor?.name
  return typeof name === "string" && /^[A-Za-z]\w{0,40}$/.test(name) && name !== "Object" ? `a ${name}` : "an object"
}

const ALLOWED = "allowed: text, a Uint8Array or another view, an ArrayBuffer"

/** What is wrong with a value that cannot be converted to bytes. */
export const problem = (value: unknown): string => `it is ${nameOf(value)}; ${ALLOWED}`

/**
 * The bytes of a stream of texts and memory. A surrogate pair that two texts share is written once it is complete.
 */
export const all = <E, R>(
  stream: Stream.Stream<unknown, E, R>
): Stream.Stream<Uint8Array, E | FileIoError.SourceFailed, R> =>
  Stream.suspend(() => {
    /** The first half of a surrogate pair whose second half is still to come. */
    let half = ""
    const convert = (chunk: unknown): Uint8Array | undefined => {
      if (typeof chunk !== "string" && half === "") return of(chunk)
      const text = half + (typeof chunk === "string" ? chunk : "")
      half = typeof chunk === "string" && /[\uD800-\uDBFF]$/.test(text) ? text.slice(-1) : ""
      const written = encoder.encode(text.slice(0, text.length - half.length))
      if (typeof chunk === "string") return written
      const rest = of(chunk)
      if (rest === undefined) return undefined
      const joined = new Uint8Array(written.length + rest.length)
      joined.set(written)
      joined.set(rest, written.length)
      return joined
    }
    const isBytes = (chunk: unknown): chunk is Uint8Array => chunk instanceof Uint8Array
    return mapChunks(stream, (chunks) => {
      if (half === "" && chunks.every(isBytes)) {
        return Effect.succeed(chunks as readonly [Uint8Array, ...Array<Uint8Array>])
      }
      const converted: Array<Uint8Array> = []
      for (const chunk of chunks) {
        const bytes = convert(chunk)
        if (bytes === undefined) {
          const problem = `it gave ${nameOf(chunk)} among its chunks; ${ALLOWED}`
          return Effect.fail(new FileIoError.SourceFailed({ problem }))
        }
        converted.push(bytes)
      }
      return Effect.succeed(converted as [Uint8Array, ...Array<Uint8Array>])
    }).pipe(
      followedBy(Stream.suspend(() => half === "" ? Stream.empty : Stream.succeed(encoder.encode(half))))
    )
  })
