/**
 * Parses the key of a shared file, and the links that contain one.
 *
 * Source of the shape: keys today are 12 of `[A-Za-z0-9]`, and were 5 to 8 before; both are accepted, and so are longer
 * ones of other hosts.
 *
 * @since 0.1.0
 */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as AgeKey from "./AgeKey.ts"
import * as FileName from "./FileName.ts"
import { PATTERN } from "./internal/key.ts"
import * as PlainText from "./PlainText.ts"

/**
 * A file's key: 5 to 64 letters and digits, compared exactly.
 *
 * @category schemas
 * @since 0.1.0
 */
export const FileKey = /* @__PURE__ */ Schema.String.check(
  Schema.isPattern(PATTERN, { message: "expected 5 to 64 letters and digits" })
).pipe(Schema.brand("FileKey"))

/**
 * @category models
 * @since 0.1.0
 */
export type FileKey = typeof FileKey.Type

/**
 * What opens an encrypted file, as `#age=` of its link says: a secret key in the link itself, a secret key of one of the
 * recipients, or a passphrase.
 *
 * @category models
 * @since 0.1.0
 */
export type Opener =
  | { readonly _tag: "Secret"; readonly identity: Redacted.Redacted }
  | { readonly _tag: "Identity" }
  | { readonly _tag: "Passphrase" }

/**
 * A parsed link: the key, the host if the link names one, and what its fragment contains: a digest, and for an encrypted file
 * what opens it and its name.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileLink {
  readonly key: FileKey
  /** `host[:port]` of the link; absent for a bare key. */
  readonly host: string | undefined
  /** SHA-256 of the file in lower-case hexadecimal, from `#sha256=…`. */
  readonly sha256: string | undefined
  /** What opens the file, from `#age=…`; absent if the link does not say that it is encrypted. */
  readonly opener?: Opener
  /** Name of an encrypted file, from `#name=…`, made safe for any disk. */
  readonly name?: FileName.FileName
}

/** A secret that is not where it belongs, as in `##age=`: without it, the download would take the file and not decrypt it. */
const DAMAGED = /[?#&/!]age(?:=|%3D)|age-secret-key-/i

const SHA256 = /^[0-9a-f]{64}$/
const isKey = (text: string): text is FileKey => PATTERN.test(text)

/** Length of today's keys; older ones are shorter. */
const USUAL_LENGTH = 12
/** Longest accepted address. */
const MAX_LENGTH = 8192

const KEY_WITH_REST = /^[A-Za-z0-9]{5,64}\/?(?:[?#]|$)/
const OTHER_SCHEME = /^(?!https?:\/\/)[a-z][a-z0-9+.-]*:(?!\d)/i

/** An absolute address; its host is `-` if the text names none. */
const toUrl = (text: string): string =>
  /^https?:\/\//i.test(text)
    ? text
    : text.startsWith("//")
    ? `http:${text}`
    : text.startsWith("/")
    ? `http://-${text}`
    : KEY_WITH_REST.test(text)
    ? `http://-/${text}`
    : `http://${text}`

// Around a pasted link: spaces, and the invisible marks, such as those of the writing direction, that programs add.
const BLANK = "\\s\\u200B-\\u200F\\u202A-\\u202E\\u2060-\\u2069\\uFEFF"
const BLANK_ENDS = /* @__PURE__ */ new RegExp(`^[${BLANK}]+|(?<![${BLANK}])[${BLANK}]+$`, "g")
const trim = (text: string): string => text.replace(BLANK_ENDS, "")

// Characters before a pasted link: quotes, brackets (not those of an IPv6 address), the mark of a quoted mail, `URL:`,
// and the title of a Markdown link.
const BEFORE = /^(?:\[[^[\]]*\]\((?=https?:\/\/)|[<({>\s"'`*_\u2018\u201C\u201E\u00AB]|\[(?![\dA-Fa-f:.]*\])|URL:)+/i
// Characters after it, with the punctuation of a sentence. A link ends with a letter, a digit or a slash.
const BEHIND = /* @__PURE__ */ new RegExp(
  `(?<=[A-Za-z0-9])[.,;:!?)\\]}>"'\`*_\\u2019\\u201C\\u201D\\u00BB\\u2026${BLANK}]+$`
)

const unwrap = (text: string): string => trim(trim(text).replace(BEFORE, "").replace(BEHIND, ""))

interface Read {
  readonly link: FileLink
  /** The whole address; its host is `-` if the text names none. */
  readonly url: URL
}

/** Why the last part of a path is no key. Never contains that part, which may be most of a secret. */
const whyNoKey = (part: string): string => {
  const strange = /[^A-Za-z0-9]/u.exec(part)?.[0]
  return strange === undefined
    ? `it has ${part.length} characters`
    : `it contains ${
      /[!-~]/.test(strange) ? strange : `U+${strange.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`
    }`
}

const readOne = (given: string): Result.Result<Read, string> => {
  const text = unwrap(given)
  if (OTHER_SCHEME.test(text)) return Result.fail("the link is not one of http or https")
  let url: URL
  try {
    url = new URL(toUrl(text))
  } catch {
    return Result.fail("neither a key (5 to 64 letters and digits) nor a link such as https://file.io/KEY")
  }
  const host = url.host === "-" ? undefined : url.host
  // A word without a dot or a port may be meant as a key.
  const named = host === undefined || !/[.:]/.test(host) ? "a link" : `a link to ${host}`
  // Tracking programs append "&x=y" even without a "?" before it.
  const last = url.pathname.split("/").findLast((segment) => segment !== "")?.replace(
    /(?<=^[A-Za-z0-9]+)&[\w.-]+=.*$/,
    ""
  )
  if (last === undefined) {
    return Result.fail(`read as ${named} without a key; a link ends with one: https://file.io/KEY`)
  }
  if (!isKey(last)) {
    return Result.fail(
      `read as ${named}, but its last part is no key (5 to 64 letters and digits): ${whyNoKey(last)}`
    )
  }
  const fragment = new URLSearchParams(url.hash.slice(1))
  const sha256 = fragment.get("sha256")?.toLowerCase()
  if (sha256 !== undefined && !SHA256.test(sha256)) {
    return Result.fail("the link's #sha256= is not a SHA-256 digest (64 hexadecimal digits)")
  }
  const age = fragment.get("age")
  if (age === null && DAMAGED.test(url.search + url.hash)) {
    return Result.fail("the link's #age= cannot be read: a program changed it on the way; copy the whole link again")
  }
  const opener = readOpener(age)
  if (Result.isFailure(opener)) return Result.fail(`the link's #age= cannot be used: ${opener.failure}`)
  const name = fragment.get("name")
  return Result.succeed({
    link: {
      key: last,
      host,
      sha256,
      ...(opener.success === undefined ? {} : { opener: opener.success }),
      ...(name === null || name === "" ? {} : { name: FileName.sanitize(name) })
    },
    url
  })
}

const readOpener = (age: string | null): Result.Result<Opener | undefined, string> =>
  age === null
    ? Result.succeed(undefined)
    : age === "identity"
    ? Result.succeed({ _tag: "Identity" })
    : age === "passphrase"
    ? Result.succeed({ _tag: "Passphrase" })
    : Result.map(AgeKey.parseIdentity(age), (identity) => ({ _tag: "Secret", identity }))

/** Escapes everything but letters and digits at the end: programs take punctuation there for the end of a sentence. */
const encodeName = (name: string): string =>
  encodeURIComponent(name.toWellFormed()).replace(
    /[!'()*~_]|[.-]$/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`
  )

/**
 * Returns the link of an encrypted file: that of its host, with what opens it and its name in the fragment, which browsers and
 * HTTP clients do not send. `opener` is a secret key, or the word for what the receiver needs.
 *
 * @category constructors
 * @since 0.1.0
 */
export const encryptedLink = (
  link: string,
  opener: Redacted.Redacted | "identity" | "passphrase",
  name?: string
): string => {
  const age = typeof opener === "string" ? opener : Redacted.value(opener)
  return `${withoutFragment(link)}#age=${age}${name === undefined ? "" : `&name=${encodeName(name)}`}`
}

/**
 * Returns a key or a link without its fragment, to show in errors, logs and lists: the secret of an encrypted file is in the
 * fragment.
 *
 * @category formatting
 * @since 0.1.0
 */
export const withoutFragment = (input: string): string => PlainText.withoutSecrets(input.replace(/#[\s\S]*$/, ""))

/** A mail may break a link over lines. If the end of the key is ambiguous, the error says so. */
const readLines = (lines: ReadonlyArray<string>): Result.Result<Read, string> => {
  const whole = readOne(lines.join(""))
  const first = readOne(lines[0]!)
  if (Result.isFailure(first)) return whole
  // Where the fragment has begun, the key has ended.
  if (lines[0]!.includes("#")) return whole
  const length = Result.isSuccess(whole) ? whole.success.link.key.length : 0
  return length === first.success.link.key.length || length === USUAL_LENGTH
    ? whole
    : Result.fail("the link is broken over several lines, so the end of its key is ambiguous; give it on one line")
}

const read = (input: unknown): Result.Result<Read, string> => {
  if (typeof input !== "string") return Result.fail("allowed: a key or a link, as text")
  if (input.length > MAX_LENGTH) return Result.fail(`a key or a link has at most ${MAX_LENGTH} characters`)
  const lines = input.split(/[\r\n]+/)
    // A mail quotes with ">", and ends a broken line with "=".
    .map((line, n) => trim(n === 0 ? line : line.replace(/^[\s>]+/, "")))
    .filter((line) => line !== "")
    .map((line, n, { length }) =>
      n < length - 1 && !/[#&](?:sha256|age|name)=$/.test(line) ? line.replace(/=$/, "") : line
    )
  if (lines.length === 0) return Result.fail("the key is empty; give a key such as 2ojE41abcDEF or a link")
  return lines.length === 1 ? readOne(lines[0]!) : readLines(lines)
}

/**
 * Parses a key or any form of link: `KEY`, `/KEY`, `host/KEY`, `https://host/KEY`, `https://host/download/KEY`,
 * `https://host/prefix/KEY`, each with an optional trailing slash, query and fragment. Accepts pasted text: a link in
 * brackets or quotes, before a full stop, or broken over lines by a mail.
 *
 * Fails with a sentence that says what is wrong. It never contains the key, since a link is a secret.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (input: string): Result.Result<FileLink, string> => Result.map(read(input), ({ link }) => link)

const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/

/**
 * The API address of a link, such as `https://host/prefix`; `undefined` for a bare key or text that is no link. A link
 * without a scheme is HTTPS, unless it leads to this machine.
 *
 * @category parsing
 * @since 0.1.0
 */
export const baseUrl = (input: string): string | undefined => {
  const result = read(input)
  if (Result.isFailure(result) || result.success.link.host === undefined) return undefined
  const { link: { host, key }, url } = result.success
  const isExplicit = /https?:\/\//i.test(input)
  const protocol = isExplicit ? url.protocol : LOOPBACK.test(url.hostname) ? "http:" : "https:"
  const segments = url.pathname.split("/").filter((segment) => segment !== "")
  const prefix = segments.slice(0, segments.findLastIndex((segment) => segment.startsWith(key)))
  if (prefix.at(-1) === "download") prefix.pop()
  return `${protocol}//${host}${prefix.map((segment) => `/${segment}`).join("")}`
}
