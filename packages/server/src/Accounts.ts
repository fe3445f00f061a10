/**
 * The file of accounts, keys and plans. The program's `keys` commands change it, and a running server reads it.
 *
 * **Details**
 *
 * The file is JSON. It contains only the SHA-256 of a key, and its first block as its id, which is no secret. A running server
 * reads a changed file within a second. While the file cannot be read, is missing, or gives an account an unknown plan, the
 * server keeps the previous accounts.
 *
 * ```json
 * {
 *   "plans": { "team": { "maxUploadBytes": 10737418240, "maxDownloads": null, "maxExpires": "90 days" } },
 *   "accounts": [{ "name": "anna", "plan": "team", "keys": [{ "id": "8F3KQ2M", "sha256": "…", "created": "…" }] }]
 * }
 * ```
 *
 * @since 0.1.0
 */
import * as Variable from "@effect-fileio/core/Variable"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Fs from "node:fs/promises"
import * as Os from "node:os"
import * as Path from "node:path"
import * as ApiKeys from "./ApiKeys.ts"
import { noteFault } from "./Health.ts"
import { makeFolder, syncFile, syncFolder } from "./internal/disk/folders.ts"
import { watch } from "./internal/ops/watchedFile.ts"
import * as Plans from "./Plans.ts"

const Bytes = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const Count = Schema.Int.check(Schema.isGreaterThanOrEqualTo(1))

const DurationFromText = Schema.String.check(
  Schema.makeFilter((text: string) => Result.getFailure(Variable.duration(text)).pipe(Option.getOrUndefined))
).pipe(Schema.decodeTo(
  Schema.Duration,
  SchemaTransformation.transform({
    decode: (text: string) => Result.getOrThrow(Variable.duration(text)),
    encode: (duration: Duration.Duration) => `${Duration.toMillis(duration)} ms`
  })
))

const PlanFields = Schema.Struct({
  id: Schema.optionalKey(Schema.Int),
  maxUploadBytes: Schema.optionalKey(Bytes),
  maxStorageBytes: Schema.optionalKey(Bytes),
  rateLimit: Schema.optionalKey(Schema.NullOr(Count)),
  maxDownloads: Schema.optionalKey(Schema.NullOr(Count)),
  maxExpires: Schema.optionalKey(Schema.NullOr(DurationFromText)),
  keepsFiles: Schema.optionalKey(Schema.Boolean),
  directDownload: Schema.optionalKey(Schema.Boolean)
})

/**
 * A stored key of an account.
 *
 * @category models
 * @since 0.1.0
 */
export class KeyEntry extends Schema.Class<KeyEntry>("@effect-fileio/server/KeyEntry")({
  /** The key's first block: its id, and no secret. */
  id: Schema.String,
  /** SHA-256 of the key, in hexadecimal. */
  sha256: Schema.String.check(Schema.isPattern(/^[0-9a-f]{64}$/)),
  created: Schema.DateTimeUtcFromString
}) {}

/**
 * An account in the file of accounts.
 *
 * @category models
 * @since 0.1.0
 */
export class AccountEntry extends Schema.Class<AccountEntry>("@effect-fileio/server/AccountEntry")({
  name: Schema.String.check(Schema.makeFilter((name: string) => ApiKeys.nameProblem(name))),
  /** Name of its plan. */
  plan: Schema.String,
  keys: Schema.Array(KeyEntry)
}) {}

/**
 * Content of the file.
 *
 * @category models
 * @since 0.1.0
 */
export class Accounts extends Schema.Class<Accounts>("@effect-fileio/server/Accounts")({
  /** Plans besides `free` and `premium`, or other limits for these; see `Plans.Plan`. */
  plans: Schema.optionalKey(Schema.Record(Schema.String, PlanFields)),
  accounts: Schema.Array(AccountEntry)
}) {}

/**
 * The file of accounts is invalid, or cannot be read or written.
 *
 * @category errors
 * @since 0.1.0
 */
export class AccountsError extends Schema.TaggedError<AccountsError>("@effect-fileio/server/AccountsError")(
  "AccountsError",
  { path: Schema.String, problem: Schema.String, cause: Schema.optionalKey(Schema.Defect()) }
) {
  override get message() {
    return `cannot use the file of accounts ${this.path}: ${this.problem}`
  }
}

const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(Accounts))
const encode = Schema.encodeSync(Accounts)
const none = new Accounts({ accounts: [] })

const isMissing = (cause: unknown): boolean => cause instanceof Error && "code" in cause && cause.code === "ENOENT"

/**
 * Reads the file; a missing one has no accounts.
 *
 * @category operations
 * @since 0.1.0
 */
export const load = Effect.fnUntraced(function*(path: string): Effect.fn.Return<Accounts, AccountsError> {
  const text = yield* Effect.tryPromise({
    try: () => Fs.readFile(path, "utf8").catch((cause) => isMissing(cause) ? undefined : Promise.reject(cause)),
    catch: (cause) => new AccountsError({ path, problem: "it cannot be read; check its permissions", cause })
  })
  if (text === undefined) return none
  return yield* Effect.mapError(
    // Windows editors write a byte-order mark.
    decode(text.replace(/^\uFEFF/, "")),
    (cause) => new AccountsError({ path, problem: cause.message.replace(/\s+/g, " ").slice(0, 300), cause })
  )
})

/** The target of a path, also through a link, whether or not it exists. */
const followed = (path: string): Promise<string> =>
  Fs.realpath(path).catch(() => Fs.readlink(path).then((to) => Path.resolve(Path.dirname(path), to)).catch(() => path))

/** The lock file is renamed to the file, so two concurrent changes cannot undo each other. */
const change = Effect.fnUntraced(function*<A, E>(
  given: string,
  by: (accounts: Accounts) => Effect.Effect<readonly [Accounts, A], E>
) {
  const path = yield* Effect.promise(() => followed(given))
  const next = `${path}.new`
  const fail = (problem: string) => (cause: unknown) => new AccountsError({ path, problem, cause })
  const file = yield* Effect.acquireRelease(
    Effect.tryPromise({
      try: () => makeFolder(Path.dirname(path)).then(() => Fs.open(next, "wx", 0o600)),
      catch: fail(`${Path.basename(next)} cannot be made beside it; another change may be under way`)
    }),
    (file) => Effect.promise(() => file.close().catch(() => {}).then(() => Fs.rm(next, { force: true })))
  )
  const [accounts, result] = yield* Effect.flatMap(load(path), by)
  yield* Effect.tryPromise({
    try: async () => {
      // If root creates it for another user's server, it must belong to that user: the owner of the folder.
      const folder = await Fs.stat(Path.dirname(path))
      if (Os.userInfo().uid === 0) await file.chown(folder.uid, folder.gid)
      const old = await Fs.stat(path).catch(() => undefined)
      if (old !== undefined) await file.chmod(old.mode & 0o777)
      await file.writeFile(`${JSON.stringify(encode(accounts), undefined, 2)}\n`)
      await syncFile(file)
      await Fs.rename(next, path)
      // A power failure must not restore a revoked key.
      await syncFolder(Path.dirname(path))
    },
    catch: fail("it cannot be written")
  })
  return result
}, Effect.scoped)

/** Without I, L, O and U, which are misread or form words. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

/** A key in the contract's form, `XXXXXXX.XXXXXXX-XXXXXXX-XXXXXXX-XXXXXXX`: its id and 140 secret bits. */
const makeKey = Effect.fnUntraced(function*() {
  const bytes = yield* (yield* SecureRandom.SecureRandom).randomBytes(35)
  const letters = Array.from(bytes, (byte) => ALPHABET[byte % ALPHABET.length]).join("")
  const [id, ...rest] = letters.match(/.{7}/g)!
  return { id: id!, key: Redacted.make(`${id}.${rest.join("-")}`) }
})

/**
 * Makes a key for an account, and creates the account if it is missing. The key is returned only here.
 *
 * @category operations
 * @since 0.1.0
 */
export const createKey = Effect.fnUntraced(function*(
  path: string,
  options: {
    readonly account: string
    /** Name of the account's plan. @default its present plan, or "free" */
    readonly plan?: string | undefined
  }
): Effect.fn.Return<
  { readonly id: string; readonly key: Redacted.Redacted },
  AccountsError | Plans.UnknownPlan,
  SecureRandom.SecureRandom
> {
  const problem = ApiKeys.nameProblem(options.account)
  if (problem !== undefined) return yield* new AccountsError({ path, problem })
  const { id, key } = yield* makeKey()
  const created = DateTime.makeUnsafe(yield* Clock.currentTimeMillis)
  const entry = new KeyEntry({ id, sha256: ApiKeys.hash(Redacted.value(key)).toString("hex"), created })
  return yield* change(
    path,
    Effect.fnUntraced(function*(file) {
      const old = file.accounts.find(({ name }) => name === options.account)
      const account = new AccountEntry({
        name: options.account,
        plan: options.plan ?? old?.plan ?? "free",
        keys: [...old?.keys ?? [], entry]
      })
      yield* Plans.check(Plans.make(plans(file)), [account.plan])
      const accounts = old === undefined
        ? [...file.accounts, account]
        : file.accounts.map((each) => each === old ? account : each)
      return [new Accounts({ ...file, accounts }), { id, key }] as const
    })
  )
})

/**
 * Revokes a key by its id, its first block. The account and its files stay. Returns the account.
 *
 * @category operations
 * @since 0.1.0
 */
export const revokeKey = Effect.fnUntraced(function*(
  path: string,
  id: string
): Effect.fn.Return<string, AccountsError> {
  return yield* change(path, (file) => {
    const owner = file.accounts.find(({ keys }) => keys.some((key) => key.id === id))
    if (owner === undefined) {
      return Effect.fail(new AccountsError({ path, problem: `it has no key ${id}; "keys list" shows all` }))
    }
    const accounts = file.accounts.map((each) =>
      each === owner ? new AccountEntry({ ...each, keys: each.keys.filter((key) => key.id !== id) }) : each
    )
    return Effect.succeed([new Accounts({ ...file, accounts }), owner.name] as const)
  })
})

/**
 * The plans of the file, for `Plans.make`.
 *
 * @category operations
 * @since 0.1.0
 */
export const plans = (accounts: Accounts): Readonly<Record<string, Partial<Plans.Plan>>> => accounts.plans ?? {}

const toKnown = (accounts: Accounts): ReadonlyArray<ApiKeys.KnownAccount> =>
  accounts.accounts.map(({ keys, name, plan }) => ({
    name,
    plan,
    hashes: keys.map(({ sha256 }) => Buffer.from(sha256, "hex"))
  }))

/** If others can write the file, they can add keys. */
const warnOfWriters = Effect.fnUntraced(function*(path: string) {
  const mode = yield* Effect.promise(() => Fs.stat(path).then((stat) => stat.mode, () => 0))
  // Windows has no such permissions.
  if (Os.platform() !== "win32" && (mode & 0o022) !== 0) {
    yield* Effect.logWarning(
      `others can write the file of accounts ${path}, and add keys for themselves; chmod go-w it`
    )
  }
})

/**
 * Accounts and plans besides those of the file.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** Accounts with one key each. @default none */
  readonly accounts?: ReadonlyArray<ApiKeys.AccountOptions> | undefined
  /** Plans that override those of the file. @default none */
  readonly plans?: Readonly<Record<string, Partial<Plans.Plan>>> | undefined
  /** Longest life of a file, whatever its plan allows. @default the plan's */
  readonly maxLife?: Duration.Duration | undefined
  /** Names of plans that must exist, besides those of the file's accounts. @default none */
  readonly used?: ReadonlyArray<string> | undefined
}

/**
 * The keys and plans of the file and of the options. The file is read again when it changes; if it is unusable then, the
 * previous content stays, the server logs an error, and its health has a fault.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  path: string,
  { accounts = [], maxLife, plans: given = {}, used = [] }: Options = {}
): Layer.Layer<ApiKeys.ApiKeys | Plans.Plans, AccountsError | Plans.UnknownPlan> =>
  Layer.effectContext(
    Effect.gen(function*() {
      const fixed = accounts.map(ApiKeys.fromOptions)
      const read = Effect.gen(function*() {
        const file = yield* load(path)
        const all = Plans.make({ ...plans(file), ...given }, { maxLife })
        yield* Plans.check(all, [...used, ...file.accounts.map(({ plan }) => plan)])
        return { keys: ApiKeys.make([...fixed, ...toKnown(file)]), plans: all }
      })
      const current = yield* watch(path, read, { what: "file of accounts", onFault: noteFault("accounts-file") })
      yield* warnOfWriters(path)

      return Context.make(
        ApiKeys.ApiKeys,
        ApiKeys.ApiKeys.of({
          find: (apiKey) => current().keys.find(apiKey),
          planOf: (account) => current().keys.planOf(account)
        })
      ).pipe(Context.add(
        Plans.Plans,
        Plans.Plans.of({
          get all() {
            return current().plans.all
          },
          get: (name) => current().plans.get(name)
        })
      ))
    })
  )
