/** The accounts of this process: everything with the same key at the same host shares one limit. */
import type * as Clock from "effect/Clock"
import type { Store } from "../../RateLimitStore.ts"
import { millisOf } from "../shared/monotonic.ts"
import { Account } from "./account.ts"
import { SharedWindow } from "./sharedWindow.ts"

/** Accounts belong to a clock too: times of a `TestClock` mean nothing to another one. */
const registry = new WeakMap<Clock.Clock, WeakMap<object, Map<string, Account>>>()
/** Stands for the store of accounts that have none. */
const MEMORY = {}

const orSet = <K, V>(map: { get(key: K): V | undefined; set(key: K, value: V): unknown }, key: K, make: () => V): V => {
  let value = map.get(key)
  if (value === undefined) map.set(key, value = make())
  return value
}

/** Up to this many accounts are kept without looking for unused ones. */
const FEW = 64
/** How long an unused account is kept, in milliseconds. */
const KEEP = 30 * 60_000

export const get = (
  clock: Clock.Clock,
  store: Store | undefined,
  baseUrl: string,
  fingerprint: string | undefined
): Account => {
  const accounts = orSet(orSet(registry, clock, () => new WeakMap()), store ?? MEMORY, () => new Map())
  const name = `${baseUrl}\n${fingerprint ?? ""}`
  const found = accounts.get(name)
  if (found !== undefined) return found
  const now = millisOf(clock)
  if (accounts.size >= FEW) {
    for (const [other, account] of accounts) {
      if (!account.isIdle(now, KEEP)) continue
      account.isForgotten = true
      accounts.delete(other)
    }
  }
  const account = new Account({
    host: new URL(baseUrl).host,
    isAnonymous: fingerprint === undefined,
    shared: store === undefined ? undefined : new SharedWindow(store, name),
    now
  })
  accounts.set(name, account)
  return account
}
