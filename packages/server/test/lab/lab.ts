/**
 * The fault lab: servers over PostgreSQL, a store and Redis, each behind a proxy that goes silent, cuts, swallows requests and
 * loses responses; engines that crash; servers that are killed, paused, stopped, and have wrong clocks; and clients that record
 * what they saw in a ledger. In the end, when everything works again: nothing acknowledged is lost, nothing was given too
 * often, no lease is stuck, no row is without bytes, no bytes without an owner, and the used storage is exact.
 *
 * The clients and the faults follow from a seed; when each thing happens does not, so a seed that failed may have to run
 * several times.
 */
import { Effect, Exit, Redacted, Scope } from "effect"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { objectStore, standInStore } from "../ceph.ts"
import { postgres, psql, redis, S3_CREDENTIALS } from "../engines.ts"
import { act } from "./client.ts"
import { makeFault, NAME } from "./faults.ts"
import { Ledger, randomFrom, type Verdict } from "./ledger.ts"
import { proxy } from "./proxy.ts"
import { makeServer, type Server } from "./server.ts"
import { verify } from "./verify.ts"

/** Accounts, and their keys; of three shards, each is the home of one. */
const KEYS = {
  anna: "ANNA000.0000000-0000000-0000000-0000001",
  bert: "BERT000.0000000-0000000-0000000-0000002",
  carl: "CARL000.0000000-0000000-0000000-0000003"
}
const ACCOUNTS = Object.values(KEYS).map((key) => ({ authorization: `Bearer ${key}` }))

/** On a slow machine the lab continues until there were enough uploads, downloads and faults: else it would prove nothing. */
const ENOUGH = 5
/** The most that it may run over, as a factor. */
const SLOWEST = 10

export interface Options {
  readonly seconds: number
  readonly seed: number
  readonly clients?: number
  readonly servers?: number
  /** Databases of the catalog. @default 1 */
  readonly shards?: number
  /** Whether to use Ceph as the store, if it is installed. @default true */
  readonly ceph?: boolean
}

export interface Summary {
  readonly seed: number
  readonly store: string
  readonly files: number
  readonly counts: Readonly<Record<string, number>>
  readonly faults: Readonly<Record<string, number>>
  readonly violations: ReadonlyArray<{ readonly verdict: Verdict; readonly what: string }>
}

const accountsFile = (folder: string): string => {
  const path = Path.join(folder, "accounts.json")
  const accounts = Object.entries(KEYS).map(([name, key]) => {
    const sha256 = createHash("sha256").update(key).digest("hex")
    return { name, plan: "premium", keys: [{ id: key.slice(0, 7), sha256, created: "2026-01-01T00:00:00.000Z" }] }
  })
  Fs.writeFileSync(
    path,
    JSON.stringify({
      plans: { premium: { rateLimit: 1_000_000 } },
      accounts
    })
  )
  return path
}

const environmentOf = (catalog: string, blobs: string, rateCounter: string) => ({
  ...S3_CREDENTIALS,
  FILEIO_SERVER_CATALOG: catalog,
  FILEIO_SERVER_BLOBS: blobs,
  FILEIO_SERVER_RATE_COUNTER: rateCounter,
  FILEIO_SERVER_ENGINE_TIMEOUT: "2 seconds",
  FILEIO_SERVER_PORT: "0",
  FILEIO_SERVER_ADMIN_PORT: "none",
  FILEIO_SERVER_GRACE: "2 seconds",
  FILEIO_SERVER_SHUTDOWN_TIMEOUT: "5 seconds",
  FILEIO_SERVER_SWEEP_INTERVAL: "1 second",
  FILEIO_SERVER_ANONYMOUS_PLAN: "premium",
  FILEIO_SERVER_ANONYMOUS_RATE: "none",
  FILEIO_SERVER_MAX_CONNECTIONS_PER_ADDRESS: "none"
})

/** Runs the lab; resolves with its results. */
export const run = async (
  { ceph = true, clients = 12, seconds, seed, servers: size = 2, shards = 1 }: Options
): Promise<Summary> => {
  const scope = Scope.makeUnsafe()
  const provide = <A>(effect: Effect.Effect<A, never, Scope.Scope>): Promise<A> =>
    Effect.runPromise(Scope.provide(effect, scope))
  const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "fileio-lab-"))
  const servers: Array<Server> = []
  try {
    const random = randomFrom(seed)
    const ledger = new Ledger()
    const postgresql = await provide(postgres({ durable: true }))
    const databases = await provide(Effect.all(Array.from({ length: shards }, () => postgresql.database)))
    const [database, ...others] = databases.map((url) => Redacted.value(url))
    const store = await provide(ceph ? objectStore : standInStore)
    const counter = await provide(redis)
    const onEach = (text: string) => databases.map((url) => psql(url, text)).filter((rows) => rows !== "").join("\n")
    const accounts = accountsFile(folder)

    for (let index = 0; index < size; index++) {
      const urls = [database!, store.endpoint, counter.url, ...others].map((url) => new URL(url))
      const lines = await Promise.all(urls.map(({ port }) => provide(proxy(Number(port)))))
      const [first, blobs, rates, ...rest] = urls.map((url, at) =>
        Object.assign(url, { port: String(lines[at]!.port) })
      )
      const catalog = [first!, ...rest].map(({ href }) => href).join(",")
      servers.push(makeServer(lines, {
        ...environmentOf(catalog, `s3://files?endpoint=${blobs!.origin}`, rates!.href),
        FILEIO_SERVER_DATA: Path.join(folder, String(index)),
        FILEIO_SERVER_ACCOUNTS: accounts
      }))
    }
    // The first server creates the tables.
    for (const server of servers) await server.start()

    const faults: Record<string, number> = {}
    const began = performance.now()
    const total = (counts: Readonly<Record<string, number>>) => Object.values(counts).reduce((sum, n) => sum + n, 0)
    const isEnough = () =>
      (ledger.counts["upload 200"] ?? 0) >= ENOUGH && (ledger.counts["download 200"] ?? 0) >= ENOUGH &&
      total(faults) >= ENOUGH
    const goesOn = () => {
      const passed = (performance.now() - began) / 1000
      return passed < seconds || !isEnough() && passed < seconds * SLOWEST
    }
    let names = 0
    const server = () => random.pick(servers).url()
    const client = async () => {
      while (goesOn()) {
        await act({ ledger, random, server, accounts: ACCOUNTS, newName: () => `${NAME}${++names}.bin` })
        await sleep(random.below(100))
      }
    }
    const fault = makeFault(servers, { postgres: postgresql, redis: counter }, ledger, random, faults)
    const trouble = async () => {
      while (goesOn()) {
        await sleep(random.below(1500))
        if (goesOn()) await fault()
      }
    }
    await Promise.all([...Array.from({ length: clients }, client), trouble(), trouble()])

    for (const { lines, start } of servers) {
      for (const line of lines) line.setMode("pass")
      await start()
    }
    await verify(ledger, servers, store, onEach)
    const { counts, entries, violations } = ledger
    if (violations.length > 0) {
      servers.forEach(({ output }, index) =>
        Fs.writeFileSync(Path.join(Os.tmpdir(), `fileio-lab-${seed}-${index}.log`), output())
      )
    }
    return { seed, store: store.name, files: entries.length, counts, faults, violations }
  } finally {
    for (const { kill } of servers) await kill()
    await Effect.runPromise(Scope.close(scope, Exit.void))
    Fs.rmSync(folder, { recursive: true, force: true })
  }
}
