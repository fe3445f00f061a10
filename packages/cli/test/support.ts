/** Runs the published program, in pipes and in a pseudo-terminal, against the embedded server. */
import { FileIoServer } from "@effect-fileio/server"
import { assert } from "@effect/vitest"
import { Effect, Exit, Layer, Redacted, Schema, Scope } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, realpathSync, rmSync } from "node:fs"
import { createServer as createHttpServer, type RequestListener } from "node:http"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, inject } from "vitest"
import * as JsonLine from "../src/JsonLine.ts"

const TERMINAL = fileURLToPath(new URL("terminal.py", import.meta.url))

export const KEY = "CLITEST.0000001-0000002-0000003-0000004"
/** An account of the free plan, which allows one download. */
export const FREE_KEY = "CLITEST.1000001-1000002-1000003-1000004"
/** An account that may make one request per second. */
export const SLOW_KEY = "CLITEST.2000001-2000002-2000003-2000004"

export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
  readonly bytes: Buffer
}

interface RunOptions {
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly stdin?: string | Uint8Array
  readonly cwd?: string
}

/** A server, a folder, and the program configured for both. */
export const setUp = () => {
  const scope = Scope.makeUnsafe()
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "fileio-cli-")))
  const program = inject("program")
  const bin = join(program, "dist", "fileio.js")
  let url = ""

  beforeAll(async () => {
    const services = await Effect.runPromise(Scope.provide(
      Layer.build(FileIoServer.layerTemporary({
        accounts: [
          { name: "one", apiKey: Redacted.make(KEY), plan: "premium" },
          { name: "free", apiKey: Redacted.make(FREE_KEY), plan: "free" },
          { name: "slow", apiKey: Redacted.make(SLOW_KEY), plan: "slow" }
        ],
        plans: { slow: { rateLimit: 1, maxDownloads: null } },
        anonymousPlan: "free"
      })),
      scope
    ))
    url = Effect.runSync(Effect.provideContext(FileIoServer.FileIoServer, services)).url
  })

  afterAll(async () => {
    await Effect.runPromise(Scope.close(scope, Exit.void))
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
  })

  /** The machine's settings do not reach the program. */
  const environment = (more: RunOptions["env"] = {}) => {
    const all = {
      PATH: process.env["PATH"],
      HOME: folder,
      TERM: "xterm-256color",
      // Most of a start is compiling.
      NODE_COMPILE_CACHE: join(program, "compiled"),
      FILEIO_CONFIG: join(folder, "config.json"),
      FILEIO_BASE_URL: url,
      FILEIO_API_KEY: KEY,
      ...more
    }
    return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Record<string, string>
  }

  /** Starts the program; its standard input stays open until it is closed here. */
  const start = (args: ReadonlyArray<string>, options: RunOptions = {}) => {
    const child = spawn(process.execPath, [bin, ...args], {
      cwd: options.cwd ?? folder,
      env: environment(options.env),
      stdio: "pipe"
    })
    const output: Array<Buffer> = []
    let stderr = ""
    child.stdout.on("data", (chunk: Buffer) => output.push(chunk))
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString("utf8")
    })
    child.stdin.on("error", () => {})
    const ended = once(child, "close").then(([code]): Ran => {
      const bytes = Buffer.concat(output)
      return { code: code as number | null, stdout: bytes.toString("utf8"), stderr, bytes }
    })
    return { child, ended, stdout: () => Buffer.concat(output).toString("utf8"), stderr: () => stderr }
  }

  const run = (args: ReadonlyArray<string>, options: RunOptions = {}): Promise<Ran> => {
    const { child, ended } = start(args, options)
    child.stdin.end(options.stdin ?? "")
    return ended
  }

  return {
    folder,
    bin,
    url: () => url,
    /** A folder for one test. */
    room: () => mkdtempSync(join(folder, "room-")),
    environment,
    start,
    run,
    /** Runs it, and expects success and nothing on standard error; returns the lines of standard output. */
    lines: async (args: ReadonlyArray<string>, options: RunOptions = {}) => {
      const ran = await run(args, options)
      assert.strictEqual(ran.stderr, "")
      assert.strictEqual(ran.code, 0)
      return ran.stdout.split("\n").slice(0, -1)
    },
    pty: (args: ReadonlyArray<string>, options: PtyOptions = {}) =>
      pty([process.execPath, bin, ...args], environment(options.env), folder, options)
  }
}

/** Where there is no Python with `pty` (Windows), the tests in a terminal are skipped. */
export const hasPty = spawnSync("python3", ["-c", "import pty, termios"]).status === 0

interface PtyOptions extends Omit<RunOptions, "stdin"> {
  readonly columns?: number
  /** Destination of standard output instead of the terminal. */
  readonly stdout?: string
  /** Actions, each performed as soon as its text is shown. */
  readonly acts?: ReadonlyArray<
    { readonly when: string; readonly type?: string; readonly resize?: number; readonly touch?: string }
  >
}

interface Shown {
  /** The whole output to the terminal. */
  readonly shown: string
  readonly code: number
  /** Output after the last action. */
  readonly seconds: number
  /** Length of the output when the terminal was resized. */
  readonly marks: ReadonlyArray<readonly [number, number]>
  /** Actions whose text was never shown. */
  readonly pending: ReadonlyArray<string>
}

const pty = async (
  command: ReadonlyArray<string>,
  env: Record<string, string>,
  folder: string,
  options: PtyOptions
): Promise<Shown> => {
  const spec = {
    command,
    env,
    cwd: options.cwd ?? folder,
    columns: options.columns ?? 80,
    stdout: options.stdout,
    acts: options.acts ?? [],
    timeout: 100
  }
  const child = spawn("python3", [TERMINAL, JSON.stringify(spec)], { stdio: ["ignore", "pipe", "inherit"] })
  let output = ""
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString("utf8")
  })
  await once(child, "close")
  return JSON.parse(output) as Shown
}

const decode = Schema.decodeUnknownSync(Schema.fromJsonString(JsonLine.JsonLine), { onExcessProperty: "error" })

/** The lines of `--json`, each checked against the schema. */
export const jsonLines = (stdout: string): ReadonlyArray<JsonLine.JsonLine> => {
  const lines = stdout.split("\n")
  assert.strictEqual(lines.pop(), "")
  return lines.map((line) => decode(line))
}

export interface Gate {
  readonly url: string
  /** Bytes sent by the program. */
  readonly sent: () => number
  readonly open: () => void
  readonly close: () => void
}

/** A proxy that passes only a number of bytes per direction, until it is opened. */
export const gate = async (to: string, limit: { readonly up?: number; readonly down?: number }): Promise<Gate> => {
  const { hostname, port } = new URL(to)
  const sockets = new Set<Socket>()
  const waiting: Array<() => void> = []
  let isOpen = false
  let sent = 0
  const pass = (from: Socket, into: Socket, most: number | undefined, count: (bytes: number) => void) => {
    let passed = 0
    from.on("data", (chunk: Buffer) => {
      const room = isOpen || most === undefined ? chunk.length : Math.max(0, Math.min(chunk.length, most - passed))
      passed += room
      count(room)
      if (room > 0) into.write(chunk.subarray(0, room))
      if (room < chunk.length) {
        from.pause()
        waiting.push(() => {
          into.write(chunk.subarray(room))
          from.resume()
        })
      }
    })
    from.on("close", () => into.destroy())
    from.on("end", () => into.end())
    from.on("error", () => into.destroy())
    sockets.add(from)
  }
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    pass(client, upstream, limit.up, (bytes) => {
      sent += bytes
    })
    pass(upstream, client, limit.down, () => {})
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sent: () => sent,
    open: () => {
      isOpen = true
      for (const go of waiting.splice(0)) go()
    },
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    }
  }
}

/** A host with scripted responses, for what the real server cannot be made to do. */
export const fakeHost = async (listener: RequestListener) => {
  const server = createHttpServer(listener)
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections()
      server.close()
    }
  }
}

/** Waits until a condition holds. */
export const until = async (condition: () => boolean, what: string): Promise<void> => {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 5000) assert.fail(`waited in vain for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
