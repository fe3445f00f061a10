/**
 * Contents, by their SHA-256, and addresses that a server refuses, whatever its plans allow.
 *
 * **Details**
 *
 * The file has one entry per line, with an optional comment behind it. A running server reads it again when it changes.
 *
 * ```text
 * # reported on 12 March
 * sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 malware
 * 203.0.113.7
 * 2001:db8::/32 a network
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Fs from "node:fs/promises"
import { noteFault } from "./Health.ts"
import { watch } from "./internal/ops/watchedFile.ts"
import * as Addresses from "./internal/shared/addresses.ts"

/**
 * The file is invalid or cannot be read.
 *
 * @category errors
 * @since 0.1.0
 */
export class BlocklistError extends Schema.TaggedError<BlocklistError>("@effect-fileio/server/BlocklistError")(
  "BlocklistError",
  { path: Schema.String, problem: Schema.String, cause: Schema.optionalKey(Schema.Defect()) }
) {
  override get message() {
    return `cannot use the blocklist ${this.path}: ${this.problem}`
  }
}

/**
 * The refused contents and addresses.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entries {
  /** SHA-256 of contents, in lower-case hexadecimal. */
  readonly digests: ReadonlySet<string>
  /** Whether an address, or a network that it is in, is refused. */
  readonly hasAddress: (address: string) => boolean
}

/**
 * The current blocklist.
 *
 * @category services
 * @since 0.1.0
 */
export class Blocklist extends Context.Service<Blocklist, {
  readonly entries: () => Entries
}>()("@effect-fileio/server/Blocklist") {}

const DIGEST = /^sha256:([0-9a-f]{64})$/i

/**
 * Parses a blocklist; fails with a sentence that names the first invalid line.
 *
 * @category parsing
 * @since 0.1.0
 */
export const parse = (text: string): Result.Result<Entries, string> => {
  const digests = new Set<string>()
  const addresses: Array<string> = []
  for (const [index, line] of text.replace(/^\uFEFF/, "").split(/\r?\n/).entries()) {
    const entry = line.trim().split(/\s/)[0]!
    if (entry === "" || entry.startsWith("#")) continue
    const digest = DIGEST.exec(entry)?.[1]
    if (digest !== undefined) digests.add(digest.toLowerCase())
    else if (Result.isSuccess(Addresses.parse([entry]))) addresses.push(entry)
    else {return Result.fail(
        `line ${index + 1} is neither sha256:HEX, nor an address, nor a network such as 192.0.2.0/24`
      )}
  }
  return Result.map(Addresses.parse(addresses), (hasAddress) => ({ digests, hasAddress }))
}

/**
 * Nothing is refused.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerNone: Layer.Layer<Blocklist> = Layer.succeed(Blocklist, {
  entries: () => ({ digests: new Set(), hasAddress: () => false })
})

const load = Effect.fnUntraced(function*(path: string) {
  const text = yield* Effect.tryPromise({
    try: () => Fs.readFile(path, "utf8"),
    catch: (cause) => new BlocklistError({ path, problem: "it cannot be read; check that it exists", cause })
  })
  return yield* Effect.fromResult(Result.mapError(parse(text), (problem) => new BlocklistError({ path, problem })))
})

/**
 * The blocklist of a file, which is read again when it changes. If it is unusable then, the previous content stays, the server
 * logs an error, and its health has a fault.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (path: string): Layer.Layer<Blocklist, BlocklistError> =>
  Layer.effect(
    Blocklist,
    Effect.map(
      watch(path, load(path), { what: "blocklist", onFault: noteFault("blocklist") }),
      (entries) => ({ entries })
    )
  )
