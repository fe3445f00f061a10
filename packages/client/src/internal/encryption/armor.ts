/** Decodes the text form of an age file (https://age-encryption.org/v1#ascii-armor) as a stream. `decrypt` calls it. */
import { Fault } from "./fault.ts"

const BEGIN = "-----BEGIN AGE ENCRYPTED FILE-----"
const END = "-----END AGE ENCRYPTED FILE-----"

/** Allowed white space before and behind, in bytes. */
const MAX_BLANK = 1024
/** Columns of a full line. */
const COLUMNS = 64

const textOf = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes)

/** Whether a file begins like a text form; `undefined` if too little of it has arrived. */
export const isBegun = (bytes: Uint8Array): boolean | undefined => {
  const text = textOf(bytes.subarray(0, MAX_BLANK + BEGIN.length)).trimStart()
  if (text.length < BEGIN.length) return BEGIN.startsWith(text) && bytes.length <= MAX_BLANK ? undefined : false
  return text.startsWith(BEGIN)
}

const fault = (detail: string): Fault => new Fault("malformed", `its text form is wrong: ${detail}`)

const decodeBase64 = (text: string): Uint8Array | undefined => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  // Only a text with padding can have unused bits, and it is short.
  return !text.endsWith("=") || btoa(String.fromCharCode(...bytes.subarray(-(bytes.length % 3)))) === text.slice(-4)
    ? bytes
    : undefined
}

/** Decodes lines to bytes. */
export class Decoding {
  #line = ""
  #state: "before" | "body" | "last" | "behind" = "before"
  #blanks = 0

  #take(line: string, out: Array<string>): Fault | undefined {
    if (this.#state === "before" || this.#state === "behind") {
      const isBegin = this.#state === "before" && line.trimStart() === BEGIN
      if (isBegin) this.#state = "body"
      this.#blanks += line.length + 1
      if (isBegin || (line.trim() === "" && this.#blanks <= MAX_BLANK)) return undefined
      return fault(this.#state === "before" ? "its first line" : "something follows its end")
    }
    if (line === END) {
      this.#state = "behind"
      this.#blanks = 0
      return undefined
    }
    if (this.#state === "last") return fault("a line follows a short one")
    if (line === "" || line.length > COLUMNS || line.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(line)) {
      return fault("a line is no Base64 of 64 columns")
    }
    if (line.length < COLUMNS || line.endsWith("=")) this.#state = "last"
    out.push(line)
    return undefined
  }

  #decode(lines: ReadonlyArray<string>, isRest: boolean): Uint8Array | Fault | undefined {
    const out: Array<string> = []
    for (const [index, line] of lines.entries()) {
      // The last line may have no line end; a carriage return is part of that of the others.
      const wrong = this.#take(isRest && index === lines.length - 1 ? line : line.replace(/\r$/, ""), out)
      if (wrong !== undefined) return wrong
    }
    return out.length === 0 ? undefined : decodeBase64(out.join("")) ?? fault("its last line")
  }

  push(bytes: Uint8Array): Uint8Array | Fault | undefined {
    const lines = (this.#line + textOf(bytes)).split("\n")
    this.#line = lines.pop()!
    if (this.#line.length > MAX_BLANK) return fault("a line is too long")
    return this.#decode(lines, false)
  }

  end(): Uint8Array | Fault | undefined {
    const rest = this.#line === "" ? undefined : this.#decode([this.#line], true)
    this.#line = ""
    if (rest !== undefined) return rest
    return this.#state === "behind" ? undefined : new Fault("cut", "the last line of its text form is missing")
  }
}
