/**
 * Quotes a host's text in errors. A host may repeat what it received, such as the account's key, so every text from a host
 * passes through here: it loses the key in any form and control characters, and is cut.
 */
import * as PlainText from "@effect-fileio/core/PlainText"
import * as Base64 from "effect/encoding/Base64"
import * as Hex from "effect/encoding/Hex"
import * as Result from "effect/Result"

export type Quote = (text: string, maxLength?: number) => string

const MAX_LENGTH = 300
const REDACTED = "<redacted>"

const BREAKS = /[\u0000-\u001F\u007F-\u009F\u2028\u2029]+/g

/** A truncated or reformatted key is still a secret: this many consecutive letters and digits of it give it away. */
const TELLING = 10

const lettersOf = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]+/g, "")

const fromCode = (code: string, radix: number): string => {
  const number = Number.parseInt(code, radix)
  return number <= 0x10FFFF ? String.fromCodePoint(number) : ""
}

/** Decodes the escapes of URLs, JSON and HTML. */
const unescaped = (text: string): string =>
  text.replace(/%([0-9a-f]{2})/gi, (_, code: string) => fromCode(code, 16))
    .replace(/\\(?:u\{?|x)([0-9a-f]{2,6})\}?/gi, (_, code: string) => fromCode(code, 16))
    .replace(/&#x([0-9a-f]{1,6});?/gi, (_, code: string) => fromCode(code, 16))
    .replace(/&#(\d{1,7});?/g, (_, code: string) => fromCode(code, 10))

const latin1 = new TextDecoder("latin1")

const fromBase64 = (digits: string) =>
  // A single digit at the end is less than a byte.
  Base64.decode(digits.length % 4 === 1 ? digits.slice(0, -1) : digits.padEnd(Math.ceil(digits.length / 4) * 4, "="))

const fromHex = (digits: string) => Hex.decode(digits.slice(0, digits.length - digits.length % 2))

/** Decodes a text as Base64 or hexadecimal, from any offset. */
const decodings = (text: string): ReadonlyArray<string> => {
  const found: Array<string> = []
  const decode = (digits: string, offsets: number, read: typeof fromHex) => {
    for (let from = 0; from < offsets; from++) {
      const bytes = read(digits.slice(from))
      if (Result.isSuccess(bytes)) found.push(latin1.decode(bytes.success))
    }
  }
  for (const [digits] of text.matchAll(/[A-Za-z0-9+/_-]{8,}/g)) {
    decode(digits.replaceAll("-", "+").replaceAll("_", "/"), 4, fromBase64)
  }
  for (const [digits] of text.replace(/0x|[^0-9A-Za-z]/g, "").matchAll(/[0-9A-Fa-f]{8,}/g)) decode(digits, 2, fromHex)
  return found
}

/** Whether a text contains the secret, or a revealing part of it, in some encoding. */
const reveals = (text: string, secret: string): boolean => {
  const letters = lettersOf(secret)
  const size = Math.min(TELLING, letters.length)
  if (size === 0) return false
  const once = unescaped(text)
  const plain = [text, once, unescaped(once)]
  const views = [...plain, ...plain.flatMap(decodings)].map(lettersOf)
  for (let at = 0; at + size <= letters.length; at++) {
    const part = letters.slice(at, at + size)
    if (views.some((view) => view.includes(part))) return true
  }
  return false
}

/** Makes a function that quotes a host, for a client with these secrets. */
export const make = (secrets: ReadonlyArray<string>): Quote => (text, maxLength = MAX_LENGTH) => {
  // More than the final length, since a removed secret leaves room.
  const plain = PlainText.strip(text.slice(0, 4 * maxLength).toWellFormed().replace(BREAKS, " ")).trim()
  const redacted = secrets.reduce((text, secret) => text.replaceAll(secret, REDACTED), plain)
  return secrets.some((secret) => reveals(redacted, secret)) ? REDACTED : redacted.slice(0, maxLength)
}
