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

/** Names of the objects that are files' bytes. */
const BLOB_ID = /^[0-9a-f]{32}$/

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

/**
 * Every stored object is recorded, and is gone once nobody needs it. `expired` has the objects whose record ended here an hour
 * too soon: a store that still creates one over a connection that was cut would have done so long before.
 */
const verifyBytes = async (ledger: Ledger, store: ObjectStore, psql: Psql, expired: Set<string>) => {
  const ids = (rows: string) => rows.split("\n").filter((id) => BLOB_ID.test(id))
  const stored = async () => (await objectsIn(store)).filter((key) => BLOB_ID.test(key))
  const owned = () => new Set(ids(psql("SELECT blob FROM files")))

  let unrecorded: ReadonlyArray<string> = []
  await comesAbout(async () => {
    const found = await stored()
    const recorded = new Set(ids(psql("SELECT blob FROM files UNION SELECT blob FROM garbage")))
    // A sweep may have removed one since, and its record.
    unrecorded = found.filter((id) => !recorded.has(id) && !expired.has(id))
    return unrecorded.length === 0
  })
  for (const id of unrecorded) ledger.violated("bytes without owner", `the catalog has no record of the object ${id}`)

  const known = new Set(unrecorded)
  const due = (await stored()).filter((id) => !known.has(id) && !expired.has(id))
  for (const id of ids(psql("UPDATE garbage SET after = 0 WHERE after > 0 RETURNING blob"))) expired.add(id)
  let left: ReadonlyArray<string> = []
  await comesAbout(async () => {
    const present = new Set(await stored())
    const needed = owned()
    left = due.filter((id) => present.has(id) && !needed.has(id))
    return left.length === 0
  })
  for (const id of left) ledger.violated("bytes without owner", `the object ${id}, which no sweep removed`)
  const present = new Set(await stored())
  for (const id of owned()) {
    if (!present.has(id)) ledger.violated("row without bytes", `the object ${id} is not there`)
  }
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
  const expired = new Set<string>()
  await verifyBytes(ledger, store, psql, expired)
  await verifyFiles(ledger, servers[0]!, psql)
  await verifyBytes(ledger, store, psql, expired)
  verifyUsage(ledger, psql)
}
