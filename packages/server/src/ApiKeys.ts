/**
 * Who a key belongs to. Only SHA-256 hashes of keys are held.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { createHash, timingSafeEqual } from "node:crypto"

/**
 * An account, as it is configured.
 *
 * @category models
 * @since 0.1.0
 */
export interface AccountOptions {
  /** Name of the account; its files belong to it over restarts. */
  readonly name: string
  readonly apiKey: Redacted.Redacted
  /** Name of its plan. @default "free" */
  readonly plan?: string | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface KeyHolder {
  readonly account: string
  readonly plan: string
}

/**
 * @category services
 * @since 0.1.0
 */
export class ApiKeys extends Context.Service<ApiKeys, {
  /** The account that a key belongs to. */
  readonly find: (apiKey: string) => Option.Option<KeyHolder>
  /** The plan of an account. */
  readonly planOf: (account: string) => Option.Option<string>
}>()("@effect-fileio/server/ApiKeys") {}

const hash = (apiKey: string): Buffer => createHash("sha256").update(apiKey, "utf8").digest()

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = (accounts: ReadonlyArray<AccountOptions>): Layer.Layer<ApiKeys> => {
  const known = accounts.map(({ apiKey, name, plan }) => ({
    hash: hash(Redacted.value(apiKey)),
    holder: { account: name, plan: plan ?? "free" }
  }))
  const plans = new Map(known.map(({ holder }) => [holder.account, holder.plan]))
  return Layer.succeed(
    ApiKeys,
    ApiKeys.of({
      find: (apiKey) => {
        const asked = hash(apiKey)
        let found: KeyHolder | undefined
        // Every key is compared, so the time tells nothing of which one came close.
        for (const { hash, holder } of known) if (timingSafeEqual(hash, asked)) found = holder
        return Option.fromUndefinedOr(found)
      },
      planOf: (account) => Option.fromUndefinedOr(plans.get(account))
    })
  )
}
