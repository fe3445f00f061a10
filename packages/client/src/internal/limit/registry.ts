/** The accounts of this process: everything with the same key at the same host shares one limit. */
import type * as Clock from "effect/Clock"
import { millisOf } from "../shared/monotonic.ts"
import { Account } from "./account.ts"
import type { Shared } from "./sharedWindow.ts"

/** Accounts belong to a clock too: times of a `TestClock` mean nothing to another one. */
const registry = new WeakMap<Clock.Clock, WeakMap<object, Map<string, Account>>>()
/** Key of the accounts without a permit store. */
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
  shared: Shared | undefined,
  baseUrl: string,
  key: string | undefined
): Account => {
  const accounts = orSet(orSet(registry, clock, () => new WeakMap()), shared?.store ?? MEMORY, () => new Map())
  const name = `${baseUrl}\n${key ?? ""}`
  return orSet(accounts, name, () => {
    const now = millisOf(clock)
    if (accounts.size >= FEW) {
      for (const [other, account] of accounts) if (account.isUnused(now, KEEP)) accounts.delete(other)
    }
    const sharedWindow = shared?.windowOf(name)
    return new Account({ host: new URL(baseUrl).host, isAnonymous: key === undefined, sharedWindow, now })
  })
}
