/** Real engines for the tests: PostgreSQL, Redis and a store that speaks S3, each on a free port and in a temporary folder. */
import { Effect, Redacted, type Scope } from "effect"
import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import S3rver from "s3rver"
import { eventually } from "./support.ts"

export const onPath = (program: string): string | undefined =>
  (process.env["PATH"] ?? "").split(Path.delimiter).map((folder) => Path.join(folder, program)).find(Fs.existsSync)

/** Debian keeps the server's programs outside the path, by version. */
const postgresFolder = ((): string | undefined => {
  const base = "/usr/lib/postgresql"
  const versions = Fs.existsSync(base) ? Fs.readdirSync(base).toSorted((a, b) => Number(b) - Number(a)) : []
  const folder = versions.map((version) => Path.join(base, version, "bin")).find((folder) =>
    Fs.existsSync(Path.join(folder, "initdb"))
  )
  return folder ?? (onPath("initdb") === undefined ? undefined : Path.dirname(onPath("initdb")!))
})()

/** PostgreSQL refuses to run as root; its package brings a user for it. */
const user = ((): { readonly uid: number; readonly gid: number } | undefined => {
  if (process.getuid?.() !== 0) return undefined
  const id = (flag: string) => Number(spawnSync("id", [flag, "postgres"], { encoding: "utf8" }).stdout.trim())
  return { uid: id("-u"), gid: id("-g") }
})()

export const hasPostgres = postgresFolder !== undefined
export const hasRedis = onPath("redis-server") !== undefined

const told = new Set<string>()

/** Prints why a test is skipped. */
export const skipping = (what: string): void => {
  const missing = [
    hasPostgres ? "" : "PostgreSQL (Debian: postgresql)",
    hasRedis ? "" : "Redis (Debian: redis-server)"
  ].filter((name) => name !== "").join(" and ")
  if (missing === "" || told.has(what)) return
  told.add(what)
  console.warn(`SKIPPED: ${what}; there is no ${missing}`)
}

export const freePort = Effect.promise(() =>
  new Promise<number>((resolve) => {
    const server = Net.createServer()
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as Net.AddressInfo
      server.close(() => resolve(port))
    })
  })
)

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = Net.connect(port, "127.0.0.1", () => {
      socket.destroy()
      resolve(true)
    })
    socket.on("error", () => resolve(false))
  })

export const folderFor = (name: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), `fileio-${name}-`))
      if (name === "postgres" && user !== undefined) Fs.chownSync(folder, user.uid, user.gid)
      return folder
    }),
    (folder) => Effect.sync(() => Fs.rmSync(folder, { recursive: true, force: true }))
  )

export interface Program {
  readonly child: () => ChildProcess
  /** Ends it by its signal, and starts it again. */
  readonly restart: Effect.Effect<void>
}

/**
 * A program that ends with the scope, at once. For PostgreSQL, the default signal is an immediate shutdown, which is a crash.
 */
export const running = (
  command: string,
  args: ReadonlyArray<string>,
  options: { uid?: number; gid?: number; cwd: string },
  signal: NodeJS.Signals = "SIGQUIT"
): Effect.Effect<Program, never, Scope.Scope> =>
  Effect.suspend(() => {
    const start = () => {
      const child = spawn(command, args, { ...options, stdio: ["ignore", "ignore", "pipe"] })
      child.stderr.resume()
      return child
    }
    let child = start()
    const end = Effect.promise(() =>
      new Promise<void>((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve()
        child.once("exit", () => resolve())
        child.kill(signal)
      })
    )
    const restart = Effect.map(end, () => {
      child = start()
    })
    return Effect.as(Effect.addFinalizer(() => end), { child: () => child, restart })
  })

export interface Postgres {
  /** The address of a new, empty database. */
  readonly database: Effect.Effect<Redacted.Redacted>
  /** Runs SQL beside the server. */
  readonly execute: (database: Redacted.Redacted, sql: string) => Effect.Effect<void>
  /** Crashes and starts it again; unsynced changes are lost. */
  readonly crash: Effect.Effect<void>
}

/** The rows that a statement returns, with `|` between their columns. */
export const psql = (database: Redacted.Redacted, text: string): string =>
  execFileSync("psql", [Redacted.value(database), "-X", "-A", "-t", "-c", text], { encoding: "utf8" }).trim()

const CACHE = fileURLToPath(new URL("../../../node_modules/.cache/engines", import.meta.url))

let databases = 0

/**
 * Makes the folder of a new server. `initdb` takes several times as long as starting one, so the files of all tests copy the
 * folder that the first of them made.
 */
const initialize = async (data: string, as: { readonly uid?: number; readonly gid?: number; readonly cwd: string }) => {
  const run = promisify(execFile)
  const initdb = Path.join(postgresFolder!, "initdb")
  const { stdout } = await run(initdb, ["--version"])
  const kept = Path.join(CACHE, `postgres ${stdout.replace(/[^\w.]+/g, " ").trim()}`)
  if (!Fs.existsSync(kept)) {
    const args = ["-U", "fileio", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale", "C.UTF-8"]
    await run(initdb, ["-D", data, ...args], as)
    // Renamed when it is whole; another file may be quicker.
    Fs.mkdirSync(CACHE, { recursive: true })
    const copy = Fs.mkdtempSync(`${kept} `)
    await run("cp", ["-a", data, Path.join(copy, "data")])
    try {
      Fs.renameSync(Path.join(copy, "data"), kept)
    } catch (error) {
      if (!Fs.existsSync(kept)) throw error
    } finally {
      Fs.rmSync(copy, { recursive: true, force: true })
    }
    return
  }
  await run("cp", ["-a", kept, data])
}

/**
 * Without syncs of the disk it is fast, and a crash undoes everything that did not wait for one; `durable` is for measuring, and
 * for the fault lab.
 */
export const postgres = (options: { readonly durable?: boolean } = {}) =>
  Effect.gen(function*() {
    const folder = yield* folderFor("postgres")
    const bin = (program: string) => Path.join(postgresFolder!, program)
    const as = { ...user, cwd: folder }
    const data = Path.join(folder, "data")
    const run = promisify(execFile)
    yield* Effect.promise(() => initialize(data, as))
    const port = yield* freePort
    const settings = {
      listen_addresses: "127.0.0.1",
      unix_socket_directories: folder,
      max_connections: "300",
      ...(options.durable === true ? {} : { fsync: "off", full_page_writes: "off", wal_writer_delay: "10s" })
    }
    const { child, restart } = yield* running(
      bin("postgres"),
      [
        "-D",
        data,
        "-p",
        String(port),
        ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
      ],
      as
    )
    // The server notes in its first lines its process and its state, which pg_ctl reads too.
    const isUp = () => {
      const path = Path.join(data, "postmaster.pid")
      const [pid, ...rest] = Fs.existsSync(path) ? Fs.readFileSync(path, "utf8").split("\n") : []
      return Number(pid) === child().pid && rest[6]?.trim() === "ready"
    }
    const to = (name: string) => ["-h", "127.0.0.1", "-p", String(port), "-U", "fileio", "-d", name]
    const isReady = eventually("PostgreSQL takes connections", isUp)
    yield* isReady
    const database = Effect.promise(async () => {
      const name = `files${++databases}`
      await run(bin("psql"), [...to("postgres"), "-c", `CREATE DATABASE ${name}`], as)
      return Redacted.make(`postgresql://fileio@127.0.0.1:${port}/${name}`)
    })
    const execute: Postgres["execute"] = (address, sql) =>
      Effect.promise(() => run(bin("psql"), ["-d", Redacted.value(address), "-v", "ON_ERROR_STOP=1", "-c", sql], as))
    return { database, execute, crash: Effect.andThen(restart, isReady) } satisfies Postgres
  })

export const redis = Effect.gen(function*() {
  const folder = yield* folderFor("redis")
  const port = yield* freePort
  const { child, restart } = yield* running(
    "redis-server",
    ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
    { cwd: folder }
  )
  const isReady = eventually("Redis takes connections", () => answers(port))
  yield* isReady
  return { url: `redis://127.0.0.1:${port}`, child: child(), crash: Effect.andThen(restart, isReady) }
})

/** The credentials of the stand-in. */
export const S3_CREDENTIALS = { AWS_ACCESS_KEY_ID: "S3RVER", AWS_SECRET_ACCESS_KEY: "S3RVER" }

/** An S3 store in this process, over a folder. */
export const s3 = Effect.gen(function*() {
  const folder = yield* folderFor("s3")
  const { address } = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const store = new S3rver({
        port: 0,
        address: "127.0.0.1",
        silent: true,
        directory: folder,
        configureBuckets: [{ name: "files", configs: [] }]
      })
      return { store, address: await store.run() }
    }),
    ({ store }) => Effect.promise(() => store.close())
  )
  return { endpoint: `http://127.0.0.1:${address.port}`, folder }
})
