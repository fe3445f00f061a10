/**
 * The fault lab: servers over PostgreSQL, a store and Redis, each behind a proxy that goes silent, cuts and loses answers; servers that
 * are killed and paused; and clients that keep a ledger of what they saw. In the end, when all is well again: nothing that was
 * acknowledged is lost, nothing was given twice, no file is stuck, no row is without bytes, no byte without owner, and the storage in
 * use is exact.
 *
 * The clients and the faults follow from a seed; when each thing happens does not, so a seed that failed may have to run several times.
 */
import { Effect, Exit, Redacted, Scope } from "effect"
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { postgres, redis, s3, S3_CREDENTIALS } from "../engines.ts"
import { act, call, download } from "./client.ts"
import { Ledger, type Random, randomFrom } from "./ledger.ts"
import { type Proxy, proxy } from "./proxy.ts"

const BIN = fileURLToPath(new URL("../../src/bin.ts", import.meta.url))
const KEY = "ANNA000.0000000-0000000-0000000-0000001"
const HEADERS = { authorization: `Bearer ${KEY}` }
const GRACE = 2000
const NAME = "file-of-the-lab-"
/** A lease of a server that died is held for 5 seconds, and settled by a later sweep. */
const RECOVERY = 15_000

export interface Options {
  readonly seconds: number
  readonly seed: number
  readonly clients?: number
  readonly servers?: number
}

export interface Summary {
  readonly seed: number
  readonly files: number
  readonly counts: Readonly<Record<string, number>>
  readonly faults: Readonly<Record<string, number>>
  readonly violations: ReadonlyArray<string>
}

interface Server {
  readonly lines: ReadonlyArray<Proxy>
  readonly start: () => Promise<void>
  readonly kill: () => Promise<void>
  readonly pause: (millis: number) => Promise<void>
  readonly url: () => string
  readonly output: () => string
}

const ended = (child: ChildProcess): Promise<void> =>
  new Promise((resolve) =>
    child.exitCode !== null || child.signalCode !== null ? resolve() : child.once("exit", () => resolve())
  )

const accountsFile = (folder: string): string => {
  const path = Path.join(folder, "accounts.json")
  const sha256 = createHash("sha256").update(KEY).digest("hex")
  const keys = [{ id: "ANNA000", sha256, created: "2026-01-01T00:00:00.000Z" }]
  Fs.writeFileSync(
    path,
    JSON.stringify({
      plans: { premium: { rateLimit: 1_000_000 } },
      accounts: [{ name: "anna", plan: "premium", keys }]
    })
  )
  return path
}

const makeServer = (lines: ReadonlyArray<Proxy>, environment: Record<string, string>): Server => {
  let child: ChildProcess | undefined
  let url = "http://127.0.0.1:1"
  let output = ""
  const start = async () => {
    const from = output.length
    const mine = child = spawn(process.execPath, ["--no-warnings", BIN], {
      env: { ...process.env, ...environment },
      stdio: ["ignore", "pipe", "pipe"]
    })
    for (const stream of [mine.stdout!, mine.stderr!]) stream.on("data", (chunk) => output += String(chunk))
    // An engine may be silent at the moment: then it ends, and is started again.
    while (mine.exitCode === null && mine.signalCode === null) {
      const listening = /file\.io on (http:\/\/127\.0\.0\.1:\d+)/.exec(output.slice(from))
      if (listening !== null) {
        url = listening[1]!
        return
      }
      await sleep(10)
    }
  }
  const kill = async () => {
    child?.kill("SIGKILL")
    if (child !== undefined) await ended(child)
  }
  const isRunning = () => child !== undefined && child.exitCode === null && child.signalCode === null
  return {
    lines,
    start: async () => {
      for (let tries = 0; tries < 20 && !isRunning(); tries++) {
        await start()
        if (!isRunning()) await sleep(200)
      }
    },
    kill,
    pause: async (millis) => {
      child?.kill("SIGSTOP")
      await sleep(millis)
      child?.kill("SIGCONT")
    },
    url: () => url,
    output: () => output
  }
}

const makeFault = (servers: ReadonlyArray<Server>, random: Random, counts: Record<string, number>) => {
  const faults: Record<string, (server: Server, line: Proxy) => Promise<void>> = {
    silence: async (_, line) => {
      line.setMode("silent")
      await sleep(200 + random.below(4000))
      line.setMode("pass")
    },
    "silence of what is open": async (_, line) => line.silenceOpen(),
    cut: async (_, line) => line.cut(),
    refusal: async (_, line) => {
      line.setMode("refuse")
      line.cut()
      await sleep(200 + random.below(2000))
      line.setMode("pass")
    },
    "lost answer": async (_, line) => {
      await Promise.race([line.meet("lose"), sleep(500)])
    },
    // The name of a file is in the statement that stores it, and in no other.
    "lost answers to uploads": async ({ lines }) => {
      for (let i = 0; i < 10; i++) await Promise.race([lines[0]!.meet("lose", NAME), sleep(500)])
    },
    "lost answers to uploads, and no new connections": async ({ lines }) => {
      await Promise.race([lines[0]!.meet("lose", NAME), sleep(500)])
      lines[0]!.setMode("refuse")
      lines[0]!.cut()
      await sleep(3000)
      lines[0]!.setMode("pass")
    },
    kill: async (server) => {
      await server.kill()
      await server.start()
    },
    pause: async (server) => server.pause(200 + random.below(6000))
  }
  return async () => {
    const [name, fault] = random.pick(Object.entries(faults))
    counts[name] = (counts[name] ?? 0) + 1
    const server = random.pick(servers)
    await fault(server, random.pick(server.lines))
  }
}

/** What must be true when all is well again. */
const verify = async (ledger: Ledger, server: Server, psql: (text: string) => string, folder: string) => {
  const where = { ledger, server: server.url }
  const states = new Map<string, number>()
  for (const entry of ledger.entries) {
    if (entry.key === undefined) continue
    const { status } = await call(`${server.url()}/${entry.key}`, ledger, { method: "HEAD" })
    states.set(entry.key, status)
    if (status === 423) ledger.violated(entry, "it is stuck: nobody downloads it, and it is not free")
    else if (status !== 200 && status !== 404) ledger.violated(entry, `HEAD is a ${status} although all is well`)
  }
  const used = Number(psql("SELECT coalesce(sum(bytes), 0) FROM usage WHERE owner = 'anna'"))
  const sizes = Number(psql("SELECT coalesce(sum(size), 0) FROM files WHERE owner = 'anna'"))
  if (used !== sizes) ledger.violated(undefined, `the storage in use is ${used}, and the files have ${sizes}`)
  const leases = psql("SELECT count(*) FROM leases WHERE NOT consumed")
  if (leases !== "0") ledger.violated(undefined, `${leases} leases are left`)
  const live = psql("SELECT count(*) FROM files WHERE live <> 0")
  if (live !== "0") ledger.violated(undefined, `${live} files count downloads that nobody has`)

  const owned = new Set(psql("SELECT blob FROM files UNION SELECT blob FROM garbage").split("\n"))
  for (const name of Fs.readdirSync(folder)) {
    const id = /^([0-9a-f]{32})\._S3rver_object$/.exec(name)?.[1]
    if (id !== undefined && !owned.has(id)) ledger.violated(undefined, `the object ${id} is of no file`)
  }

  // Files whose upload had no answer are there or are not, but never in part.
  const keys = new Map(psql("SELECT name, key FROM files").split("\n").map((row) => row.split("|") as [string, string]))
  for (const entry of ledger.entries) {
    if (entry.key === undefined && keys.has(entry.name)) {
      if (entry.stored === "no") ledger.violated(entry, "the answer said that nothing was changed, and it is stored")
      entry.key = keys.get(entry.name)!
    }
    if (entry.key === undefined || entry.whole > 0) continue
    const status = await download(where, entry)
    if (status !== 404 && entry.whole === 0) ledger.violated(entry, `it is there, and cannot be had: a ${status}`)
    if (status === 404 && entry.broken === 0 && !entry.deleted) {
      ledger.violated(entry, "it was acknowledged, and is lost")
    }
  }
}

/** Runs the lab; resolves with what was seen. */
export const run = async ({ clients = 12, seconds, seed, servers: size = 2 }: Options): Promise<Summary> => {
  const scope = Scope.makeUnsafe()
  const provide = <A>(effect: Effect.Effect<A, never, Scope.Scope>): Promise<A> =>
    Effect.runPromise(Scope.provide(effect, scope))
  const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "fileio-lab-"))
  const servers: Array<Server> = []
  try {
    const random = randomFrom(seed)
    const ledger = new Ledger()
    const database = Redacted.value(
      await provide(Effect.flatMap(postgres({ durable: true }), ({ database }) => database))
    )
    const store = await provide(s3)
    const counter = await provide(redis)
    const psql = (text: string) =>
      execFileSync("psql", [database, "-X", "-A", "-t", "-c", text], { encoding: "utf8" }).trim()
    const accounts = accountsFile(folder)

    for (let index = 0; index < size; index++) {
      const engines = [new URL(database), new URL(store.endpoint), new URL(counter.url)] as const
      const lines = await Promise.all(engines.map((url) => provide(proxy(Number(url.port)))))
      engines.forEach((url, at) => {
        url.port = String(lines[at]!.port)
      })
      servers.push(makeServer(lines, {
        ...S3_CREDENTIALS,
        FILEIO_SERVER_CATALOG: engines[0].href,
        FILEIO_SERVER_BLOBS: `s3://files?endpoint=${engines[1].origin}`,
        FILEIO_SERVER_RATE_COUNTER: engines[2].href,
        FILEIO_SERVER_ENGINE_TIMEOUT: "2 seconds",
        FILEIO_SERVER_DATA: Path.join(folder, String(index)),
        FILEIO_SERVER_ACCOUNTS: accounts,
        FILEIO_SERVER_PORT: "0",
        FILEIO_SERVER_ADMIN_PORT: "none",
        FILEIO_SERVER_GRACE: `${GRACE} millis`,
        FILEIO_SERVER_SWEEP_INTERVAL: "1 second",
        FILEIO_SERVER_ANONYMOUS_PLAN: "premium",
        FILEIO_SERVER_ANONYMOUS_RATE: "none",
        FILEIO_SERVER_MAX_CONNECTIONS_PER_ADDRESS: "none"
      }))
    }
    // The first one makes the tables.
    for (const server of servers) await server.start()

    const faults: Record<string, number> = {}
    const end = performance.now() + seconds * 1000
    const goesOn = () => performance.now() < end
    let names = 0
    const server = () => random.pick(servers).url()
    const client = async () => {
      while (goesOn()) {
        await act({ ledger, random, server, headers: HEADERS, newName: () => `${NAME}${++names}.bin` })
        await sleep(random.below(100))
      }
    }
    const fault = makeFault(servers, random, faults)
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
    await sleep(RECOVERY)
    await verify(ledger, servers[0]!, psql, Path.join(store.folder, "files"))
    const { counts, entries, violations } = ledger
    if (violations.length > 0) {
      servers.forEach(({ output }, index) =>
        Fs.writeFileSync(Path.join(Os.tmpdir(), `fileio-lab-${index}.log`), output())
      )
    }
    return { seed, files: entries.length, counts, faults, violations }
  } finally {
    for (const { kill } of servers) await kill()
    await Effect.runPromise(Scope.close(scope, Exit.void))
    Fs.rmSync(folder, { recursive: true, force: true })
  }
}
