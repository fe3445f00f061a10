/** Checks at the end, when everything works again. */
import { setTimeout as sleep } from "node:timers/promises"
import { objectsIn, type ObjectStore } from "../ceph.ts"
import { call, download } from "./client.ts"
import type { Ledger } from "./ledger.ts"
import type { Server } from "./server.ts"

/**
 * Leases end and bytes are removed some seconds later; a condition that does not hold after this long, in milliseconds, never
 * will.
 */
const LIMIT = 120_000

/** How long the store may take to end requests whose connections were cut. */
const STORE_MILLIS = 10_000

/** Runs a statement on each shard; returns the rows of all. */
type Psql = (text: string) => string

/** The sum of the numbers that a statement returns. */
const totalOf = (rows: string): number => rows.split("\n").reduce((sum, row) => sum + Number(row), 0)

/** Waits until a condition holds. */
const comesAbout = async (isSo: () => boolean | Promise<boolean>): Promise<boolean> => {
  const end = performance.now() + LIMIT
  while (performance.now() < end) {
    if (await isSo()) return true
    await sleep(200)
  }
  return false
}

const verifyLeases = async (ledger: Ledger, psql: Psql) => {
  const leases = () => totalOf(psql("SELECT count(*) FROM leases WHERE NOT consumed"))
  const live = () => totalOf(psql("SELECT count(*) FROM files WHERE live <> 0"))
  if (await comesAbout(() => leases() === 0 && live() === 0)) return
  ledger.violated("lease stuck", `${leases()} leases are left, and ${live()} files count downloads that nobody has`)
}

/** Files whose upload had no response exist or not, but never in part; and none is stuck. */
const verifyFiles = async (ledger: Ledger, server: Server, psql: Psql) => {
  const rows = psql("SELECT name, key FROM files").split("\n").filter((row) => row !== "")
  const keys = new Map(rows.map((row) => row.split("|") as [string, string]))
  for (const entry of ledger.entries) {
    if (entry.key === undefined && keys.has(entry.name)) {
      if (entry.stored === "no") {
        ledger.violated("wrong answer", "it said that nothing was changed, and it is stored", entry)
      }
      entry.key = keys.get(entry.name)!
    }
    if (entry.key === undefined) continue
    for (let times = 0; times < entry.allowed; times++) {
      // A connection to an engine that broke is noticed by the first call that uses it, which is a 503: nothing was given then.
      let status = 503
      await comesAbout(async () => {
        status = await download({ ledger, server: server.url }, entry)
        return status !== 503
      })
      if (status === 404 && times === 0 && !entry.mayBeGone()) {
        ledger.violated("acknowledged and lost", "it is a 404", entry)
      } else if (status === 423) ledger.violated("lease stuck", "nobody downloads it, and it is not free", entry)
      else if (status !== 404 && status !== 200) {
        ledger.violated("row without bytes", `it is there, and cannot be had: a ${status}`, entry)
      }
      if (status !== 200) break
    }
  }
}

const verifyBytes = async (ledger: Ledger, store: ObjectStore, psql: Psql) => {
  // Expected bytes without a file are garbage an hour later. By then a store has long done what it was asked for over a
  // connection that was cut; here it has some seconds, or it would create an object that was removed already.
  await sleep(STORE_MILLIS)
  const makeGarbage = () => psql("UPDATE garbage SET after = 0 WHERE after > 0")
  const blobs = () => psql("SELECT blob FROM files").split("\n").filter((blob) => blob !== "")
  let stored: ReadonlyArray<string> = []
  const areOwned = async () => {
    makeGarbage()
    stored = (await objectsIn(store)).filter((key) => /^[0-9a-f]{32}$/.test(key))
    return stored.length === blobs().length
  }
  await comesAbout(areOwned)
  const owned = new Set(blobs())
  for (const id of stored) if (!owned.delete(id)) ledger.violated("bytes without owner", `the object ${id}`)
  for (const id of owned) ledger.violated("row without bytes", `the object ${id} is not there`)
}

const verifyUsage = (ledger: Ledger, psql: Psql) => {
  const used = psql("SELECT owner, sum(bytes) FROM usage GROUP BY owner HAVING sum(bytes) <> 0 ORDER BY owner")
  const sizes = psql("SELECT owner, sum(size) FROM files GROUP BY owner ORDER BY owner")
  if (used !== sizes) ledger.violated("quota not exact", `the storage in use is ${used}, and the files have ${sizes}`)
}

export const verify = async (ledger: Ledger, servers: ReadonlyArray<Server>, store: ObjectStore, psql: Psql) => {
  for (const { url } of servers) {
    const isWell = await comesAbout(async () => (await call(url(), ledger, { method: "HEAD" })).status > 0)
    if (!isWell) ledger.violated("call without end", "a server does not answer although all is well")
  }
  await verifyLeases(ledger, psql)
  verifyUsage(ledger, psql)
  await verifyBytes(ledger, store, psql)
  await verifyFiles(ledger, servers[0]!, psql)
  await verifyBytes(ledger, store, psql)
  verifyUsage(ledger, psql)
}
