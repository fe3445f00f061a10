/**
 * Measures the engines on this machine: `node packages/server/test/measure.ts [COUNT]`. The figures of docs/scaling.md come
 * from here. Everything runs on loopback, and ends by itself.
 */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { Effect, Layer, Redacted } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Http from "node:http"
import { fileURLToPath } from "node:url"
import * as Catalog from "../src/Catalog.ts"
import * as DataFolder from "../src/DataFolder.ts"
import * as PgCatalog from "../src/PgCatalog.ts"
import * as SqliteCatalog from "../src/SqliteCatalog.ts"
import { hasPostgres, hasRedis, postgres, psql, redis, s3, S3_CREDENTIALS } from "./engines.ts"
import { eventually, temporaryFolder } from "./support.ts"

const COUNT = Number(process.argv[2] ?? 2000)
const BIN = fileURLToPath(new URL("../src/bin.ts", import.meta.url))

const say = (what: string, count: number, seconds: number, cpu: string) =>
  console.log(`${what.padEnd(62)} ${(count / seconds).toFixed(0).padStart(7)}/s   ${cpu}`)

const timed = <A, E, R>(what: string, count: number, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const began = performance.now()
    const cpu = process.cpuUsage()
    yield* effect
    const { system, user } = process.cpuUsage(cpu)
    say(
      what,
      count,
      (performance.now() - began) / 1000,
      `${((user + system) / count).toFixed(0)} µs of this process each`
    )
  })

let blobs = 0
const file = (maxDownloads: number | null): Catalog.NewFile => ({
  blob: `blob${++blobs}`,
  owner: "",
  plan: "premium",
  name: "file.txt",
  title: null,
  mimeType: "text/plain",
  size: 1000,
  expires: 4e12,
  maxDownloads,
  autoDelete: true,
  created: 1e12
})

const catalogs = (name: string, engine: Layer.Layer<Catalog.Catalog, unknown>) =>
  Effect.gen(function*() {
    const catalog = yield* Catalog.Catalog
    const all = { concurrency: 64, discard: true } as const
    const keys: Array<string> = []
    const leases: Array<Catalog.Lease> = []
    const indexes = Array.from({ length: COUNT }, (_, index) => index)
    const claim = (key: string) =>
      Effect.map(catalog.claim(key), (claim) => {
        if (claim._tag !== "Claimed") throw new Error("not claimed")
        leases.push(claim.lease)
      })
    yield* timed(
      `${name}: files inserted`,
      COUNT,
      Effect.forEach(indexes, () => Effect.map(catalog.insert(file(1)), ({ key }) => void keys.push(key)), all)
    )
    yield* timed(`${name}: claims of different files`, COUNT, Effect.forEach(keys, claim, all))
    yield* timed(
      `${name}: claims refused, of files under way`,
      COUNT,
      Effect.forEach(keys, (key) => catalog.claim(key), all)
    )
    yield* timed(
      `${name}: downloads ended (handed over and counted)`,
      COUNT,
      Effect.forEach(leases, (lease) => Effect.andThen(catalog.handOver(lease), catalog.commit(lease)), all)
    )
    const { key } = yield* catalog.insert(file(null))
    yield* timed(`${name}: claims of one file without limit`, COUNT, Effect.forEach(indexes, () => claim(key), all))
  }).pipe(Effect.provide(engine), Effect.scoped)

interface Process {
  readonly url: string
  readonly child: ChildProcess
}

const startProcess = (environment: Record<string, string>) =>
  Effect.gen(function*() {
    const folder = yield* temporaryFolder
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [BIN], {
          env: {
            ...process.env,
            FILEIO_SERVER_PORT: "0",
            FILEIO_SERVER_DATA: folder,
            FILEIO_SERVER_ANONYMOUS_PLAN: "premium",
            FILEIO_SERVER_ANONYMOUS_RATE: "none",
            ...environment
          },
          stdio: ["ignore", "pipe", "inherit"]
        })
      ),
      (child) => Effect.promise(() => new Promise((resolve) => child.once("exit", resolve).kill("SIGKILL")))
    )
    let output = ""
    child.stdout.on("data", (chunk) => output += String(chunk))
    yield* eventually("it says where it listens", () => output.includes("file.io on"))
    return { url: /http:\/\/127\.0\.0\.1:\d+/.exec(output)![0], child } satisfies Process
  })

/** Seconds of processor time that a process has used. */
const cpuOf = ({ child }: Process): number => {
  const fields = Fs.readFileSync(`/proc/${child.pid}/stat`, "utf8").split(") ")[1]!.split(" ")
  return (Number(fields[11]) + Number(fields[12])) / 100
}

const boundary = "measure"
const body = Buffer.from(
  `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n\r\n${
    "x".repeat(1024)
  }\r\n--${boundary}--\r\n`
)

const request = (agent: Http.Agent, url: string, method: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const headers = method === "POST"
      ? { "content-type": `multipart/form-data; boundary=${boundary}`, "content-length": body.length }
      : {}
    const call = Http.request(url, { agent, method, headers }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (chunk) => text += chunk)
      response.on("end", () => response.statusCode === 200 ? resolve(text) : reject(new Error(text)))
    })
    call.on("error", reject)
    call.end(method === "POST" ? body : undefined)
  })

const load = (name: string, servers: ReadonlyArray<Process>) =>
  Effect.promise(async () => {
    const agent = new Http.Agent({ keepAlive: true, maxSockets: 32 })
    const keys: Array<string> = []
    const each = async (what: string, count: number, one: (index: number) => Promise<void>) => {
      const cpu = servers.map(cpuOf)
      const began = performance.now()
      let next = 0
      const worker = async () => {
        while (next < count) await one(next++)
      }
      await Promise.all(Array.from({ length: 32 * servers.length }, worker))
      const used = servers.reduce((sum, server, index) => sum + cpuOf(server) - cpu[index]!, 0)
      say(
        `${name}: ${what}`,
        count,
        (performance.now() - began) / 1000,
        `${(used / count * 1e6).toFixed(0)} µs of the servers each`
      )
    }
    const at = (index: number) => servers[index % servers.length]!.url
    await each("uploads of 1 KiB", COUNT, async (index) => {
      keys.push((JSON.parse(await request(agent, at(index), "POST")) as { key: string }).key)
    })
    await each("downloads of 1 KiB", COUNT, async (index) => {
      await request(agent, `${at(index)}/${keys[index]!}`, "GET")
    })
    agent.destroy()
  })

const GIBIBYTE = 1024 ** 3

/** Transactions of PostgreSQL during an upload of a gigabyte; those of an idle server are subtracted. */
const largeUpload = (database: Redacted.Redacted) =>
  Effect.gen(function*() {
    const { url } = yield* startProcess({
      FILEIO_SERVER_CATALOG: Redacted.value(database),
      FILEIO_SERVER_SWEEP_INTERVAL: "1 hour"
    })
    const transactions = Effect.promise(async () => {
      // PostgreSQL counts what ended a second ago.
      await new Promise((resolve) => setTimeout(resolve, 3000))
      const query = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
      return Number(psql(database, query))
    })
    const idle = -(yield* transactions) + (yield* transactions)
    const before = yield* transactions
    yield* Effect.promise(async () => {
      const body = new ReadableStream({
        start: () => {},
        pull: (controller) => {
          sent += 1024 * 1024
          controller.enqueue(new Uint8Array(1024 * 1024))
          if (sent === GIBIBYTE) controller.close()
        }
      })
      let sent = 0
      const init = { method: "PUT", body, duplex: "half" } as RequestInit
      const { status } = await fetch(`${url}/large.bin`, init)
      if (status !== 200) throw new Error(`the upload was a ${status}`)
    })
    console.log(`transactions of PostgreSQL for an upload of 1 GiB: ${(yield* transactions) - before - idle}`)
  })

const sqlite = SqliteCatalog.layer({ grace: 30_000 }).pipe(
  Layer.provide([DataFolder.layerTemporary, NodeCrypto.layerSecureRandom])
)

const program = Effect.gen(function*() {
  yield* catalogs("SQLite", sqlite)
  yield* load("SQLite and a folder, 1 process", [yield* startProcess({})])
  if (!hasPostgres || !hasRedis) return console.log("there is no PostgreSQL or no Redis, so that is all")

  const server = yield* postgres({ durable: true })
  const pg = PgCatalog.layer({ url: yield* server.database, grace: 30_000 })
  yield* catalogs("PostgreSQL", pg.pipe(Layer.provide(NodeCrypto.layerSecureRandom)))
  const shards = PgCatalog.layer({
    url: yield* Effect.all([server.database, server.database, server.database]),
    grace: 30_000
  })
  yield* catalogs("PostgreSQL, 3 shards", shards.pipe(Layer.provide(NodeCrypto.layerSecureRandom)))
  const catalog = Redacted.value(yield* server.database)
  const counter = (yield* redis).url
  yield* load("PostgreSQL and a folder, 1 process", [yield* startProcess({ FILEIO_SERVER_CATALOG: catalog })])
  yield* largeUpload(yield* server.database)
  const { endpoint } = yield* s3
  const environment = {
    ...S3_CREDENTIALS,
    // A catalog belongs to one store.
    FILEIO_SERVER_CATALOG: Redacted.value(yield* server.database),
    FILEIO_SERVER_BLOBS: `s3://files?endpoint=${endpoint}`,
    FILEIO_SERVER_RATE_COUNTER: counter
  }
  const [one, two] = [yield* startProcess(environment), yield* startProcess(environment)]
  yield* load("PostgreSQL, Redis and a stand-in for S3, 1 process", [one])
  yield* load("PostgreSQL, Redis and a stand-in for S3, 2 processes", [one, two])
})

await Effect.runPromise(Effect.scoped(program))
