/**
 * The key of a shared file, and the links that carry one.
 *
 * Source of the shape: keys are 12 of `[A-Za-z0-9]` today and were 5 to 8 before; both are accepted, and so are
 * longer ones of other hosts.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { PATTERN } from "./internal/key.ts"

/**
 * A file's key: 5 to 64 letters and digits, compared exactly.
 *
 * @category schemas
 * @since 0.1.0
 */
export const FileKey = Schema.String.check(
  Schema.isPattern(PATTERN, { message: "expected 5 to 64 letters and digits" })
).pipe(Schema.brand("FileKey"))

/**
 * @category models
 * @since 0.1.0
 */
export type FileKey = typeof FileKey.Type

/**
 * What a link says: the key, the host that it names (if any), and the digest that its fragment may carry.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileLink {
  readonly key: FileKey
  /** The `host[:port]` of the link; absent for a bare key. */
  readonly host: string | undefined
  /** SHA-256 of the file in lower-case hexadecimal, from `#sha256=…`. */
  readonly sha256: string | undefined
}

const SHA256 = /^[0-9a-f]{64}$/
const isKey = Schema.is(FileKey)

const KEY_WITH_REST = /^[A-Za-z0-9]{5,64}\/?(?:[?#]|$)/
const OTHER_SCHEME = /^(?!https?:\/\/)[a-z][a-z0-9+.-]*:(?!\d)/i

/** An absolute address; `-` stands for the host where the text names none. */
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

/**
 * Reads a key or any form of link: `KEY`, `/KEY`, `host/KEY`, `https://host/KEY`, `https://host/download/KEY`,
 * `https://host/prefix/KEY`, each with an optional trailing slash, query and fragment.
 *
 * Fails with a sentence that says what is wrong; it never contains the input, since a link is a secret.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (input: string): Result.Result<FileLink, string> => {
  const text = input.trim()
  if (text === "") return Result.fail("the key is empty; give a key such as 2ojE41abcDEF or a link")
  if (isKey(text)) return Result.succeed({ key: text, host: undefined, sha256: undefined })
  if (OTHER_SCHEME.test(text)) return Result.fail("the link is not one of http or https")
  let url: URL
  try {
    url = new URL(toUrl(text))
  } catch {
    return Result.fail("neither a key (5 to 64 letters and digits) nor a link such as https://file.io/KEY")
  }
  const segments = url.pathname.split("/").filter((segment) => segment !== "")
  const key = segments.at(-1)
  if (key === undefined || !isKey(key)) {
    return Result.fail("neither a key (5 to 64 letters and digits) nor a link that ends with one")
  }
  const digest = new URLSearchParams(url.hash.slice(1)).get("sha256")?.toLowerCase()
  if (digest !== undefined && !SHA256.test(digest)) {
    return Result.fail("the link's #sha256= is not a SHA-256 digest (64 hexadecimal digits)")
  }
  return Result.succeed({ key, host: url.host === "-" ? undefined : url.host, sha256: digest })
}
