/**
 * Finds the account of a key. Holds only SHA-256 hashes of keys.
 *
 * @since 0.1.0
 */
import * as PlainText from "@effect-fileio/core/PlainText"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Crypto from "node:crypto"

/**
 * An account in the options.
 *
 * @category models
 * @since 0.1.0
 */
export interface AccountOptions {
  /** Name of the account, which owns its files across restarts. */
  readonly name: string
  readonly apiKey: Redacted.Redacted
  /** Name of its plan. @default "free" */
  readonly plan?: string | undefined
}

/**
 * The account of a key, and its plan.
 *
 * @category models
 * @since 0.1.0
 */
export interface KeyHolder {
  readonly account: string
  readonly plan: string
}

/**
 * Finds the caller by the received key.
 *
 * @category services
 * @since 0.1.0
 */
export class ApiKeys extends Context.Service<ApiKeys, {
  /** The account of a key. */
  readonly find: (apiKey: string) => Option.Option<KeyHolder>
  /** The plan of an account. */
  readonly planOf: (account: string) => Option.Option<string>
}>()("@effect-fileio/server/ApiKeys") {}

/**
 * The stored part of a key.
 *
 * @category hashing
 * @since 0.1.0
 */
export const hash = (apiKey: string): Buffer => Crypto.hash("sha256", apiKey, "buffer")

/**
 * Why a text cannot be the name of an account, as a sentence; `undefined` if it can. Anonymous files belong to the empty name,
 * so an account of that name would own them.
 *
 * @category checking
 * @since 0.1.0
 */
export const nameProblem = (name: string): string | undefined =>
  name.trim() === ""
    ? "an account needs a name; the empty name would own all anonymous files"
    : PlainText.problem(name) ?? (name.trim() === name ? undefined : "it begins or ends with a blank")

/**
 * Why a text cannot be a key, as a sentence; `undefined` if it can.
 *
 * @category checking
 * @since 0.1.0
 */
export const keyProblem = (apiKey: string): string | undefined =>
  /^[!-~]+$/.test(apiKey.trim()) ? undefined : "a key is one word of printable ASCII, since it goes in a header"

/**
 * An account with the hashes of its keys.
 *
 * @category models
 * @since 0.1.0
 */
export interface KnownAccount {
  readonly name: string
  readonly plan: string
  readonly hashes: ReadonlyArray<Buffer>
}

/**
 * An account with the hash of its key in place of the key. Ignores white space around the key, which files and secret stores
 * add.
 *
 * @category constructors
 * @since 0.1.0
 */
export const fromOptions = ({ apiKey, name, plan }: AccountOptions): KnownAccount => ({
  name,
  plan: plan ?? "free",
  hashes: [hash(Redacted.value(apiKey).trim())]
})

/**
 * Makes the lookup over these accounts.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (accounts: ReadonlyArray<KnownAccount>): ApiKeys["Service"] => {
  const known = accounts.flatMap(({ hashes, name, plan }) =>
    hashes.map((hash) => ({ hash, holder: { account: name, plan } }))
  )
  const plans = new Map(accounts.map(({ name, plan }) => [name, plan]))
  return ApiKeys.of({
    find: (apiKey) => {
      const asked = hash(apiKey)
      let found: KeyHolder | undefined
      // Compares every key, so that the time reveals nothing about partial matches.
      for (const { hash, holder } of known) if (Crypto.timingSafeEqual(hash, asked)) found = holder
      return Option.fromUndefinedOr(found)
    },
    planOf: (account) => Option.fromUndefinedOr(plans.get(account))
  })
}

/**
 * The lookup over the accounts in the options.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (accounts: ReadonlyArray<AccountOptions>): Layer.Layer<ApiKeys> =>
  Layer.succeed(ApiKeys, make(accounts.map(fromOptions)))
