/**
 * Small files a second: uploads and one-time downloads of 1 KiB over HTTP, over connections that are kept alive, by the server's
 * program with SQLite and a folder. With `--root` also by other checkouts of this repository, in turn, round after round. The
 * last lines, on the error stream, are a table: the best round of each, and how many times as many files as the last checkout
 * it takes.
 *
 * `pnpm bench capacity [--count 3000] [--connections 64] [--bytes 1024] [--rounds 3] [--sync-millis 0] [--root FOLDER ...]`
 *
 * `--sync-millis` makes every sync of the disk take so much longer, as on one without power-loss protection; it needs Linux and a
 * C compiler. It and `--connections` may be lists, such as `--connections 1,16,64,256 --sync-millis 0,2`.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"
import { drive } from "./internal/drive.ts"

const { values } = parseArgs({
  options: {
    count: { type: "string", default: "3000" },
    connections: { type: "string", default: "64" },
    bytes: { type: "string", default: "1024" },
    rounds: { type: "string", default: "3" },
    "sync-millis": { type: "string", default: "0" },
    root: { type: "string", multiple: true, default: [] }
  }
})
const numbers = (list: string): ReadonlyArray<number> => list.split(",").map(Number)
const roots = [join(import.meta.dirname, ".."), ...values.root.map((root) => resolve(root))]

const folder = await mkdtemp(join(tmpdir(), "fileio-bench-"))

interface Case {
  readonly connections: number
  readonly syncMillis: number
  readonly count: number
}
/** With fewer connections fewer files are sent, since they take longer. */
const MANY = 16
const cases: ReadonlyArray<Case> = numbers(values["sync-millis"]).flatMap((syncMillis) =>
  numbers(values.connections).map((connections) => {
    const count = Math.ceil(Number(values.count) * Math.min(1, (connections + 1) / MANY))
    return { connections, syncMillis, count }
  })
)

/** A library to preload that makes syncs slow. */
const slowSyncs = async (syncMillis: number): Promise<string | undefined> => {
  if (syncMillis === 0) return undefined
  const source = join(folder, "slow.c")
  const library = join(folder, "slow.so")
  await writeFile(
    source,
    `#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>
#define SLOW(name) int name(int fd) { \\
  static int (*next)(int); if (!next) next = dlsym(RTLD_NEXT, #name); usleep(${
      Math.round(syncMillis * 1000)
    }); return next(fd); }
SLOW(fsync) SLOW(fdatasync)
`
  )
  const built = spawnSync("cc", ["-shared", "-fPIC", "-o", library, source, "-ldl"])
  if (built.status !== 0) throw new Error("--sync-millis needs a C compiler (Debian: gcc)")
  return library
}

const cpuOf = (pid: number): number => {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return (Number(fields[11]) + Number(fields[12])) / 100
}

interface Server {
  readonly url: URL
  readonly child: ChildProcess
}

const start = async (root: string, preload: string | undefined): Promise<Server> => {
  const data = await mkdtemp(join(folder, "data-"))
  const child = spawn(
    process.execPath,
    ["--import", join(import.meta.dirname, "server", "watch.ts"), join(root, "packages", "server", "src", "bin.ts")],
    {
      env: {
        ...process.env,
        ...(preload === undefined ? {} : { LD_PRELOAD: preload }),
        FILEIO_SERVER_PORT: "0",
        FILEIO_SERVER_ADMIN_PORT: "none",
        FILEIO_SERVER_DATA: data,
        FILEIO_SERVER_ANONYMOUS_PLAN: "premium",
        FILEIO_SERVER_ANONYMOUS_RATE: "none"
      },
      stdio: ["ignore", "pipe", "inherit", "ipc"]
    }
  )
  const [line] = await once(child.stdout!, "data")
  return { url: new URL(/http:\/\/[\w.:]+/.exec(String(line))![0]), child }
}

const boundary = "capacity"
const body = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n\r\n${
  "x".repeat(Number(values.bytes))
}\r\n--${boundary}--\r\n`

const round = (value: number) => Math.round(value * 100) / 100

interface Figures {
  readonly perSecond: number
  readonly hostCpuMillisEach: number
  readonly loopWorstMs: number
  readonly loopWorstWorkMs: number
}

const measured = async (
  server: Server,
  { connections, count, syncMillis }: Case,
  what: string,
  root: string,
  run: () => Promise<void>
): Promise<Figures> => {
  const { child } = server
  child.send("report")
  await once(child, "message")
  const cpu = cpuOf(child.pid!)
  const began = performance.now()
  await run()
  const wallS = (performance.now() - began) / 1000
  child.send("report")
  const [{ worstMs, worstWorkMs }] = await once(child, "message") as [Readonly<Record<string, number>>]
  const figures: Figures = {
    perSecond: Math.round(count / wallS),
    hostCpuMillisEach: round((cpuOf(child.pid!) - cpu) / count * 1000),
    loopWorstMs: round(worstMs!),
    loopWorstWorkMs: round(worstWorkMs!)
  }
  console.log(JSON.stringify({
    bench: "capacity",
    what,
    root,
    connections,
    syncMillis,
    wallS: round(wallS),
    ...figures
  }))
  return figures
}

const host = "Host: localhost\r\nAccept: */*\r\nUser-Agent: bench\r\n"
const uploadRequest =
  `POST /?maxDownloads=1 HTTP/1.1\r\n${host}Content-Type: multipart/form-data; boundary=${boundary}\r\nContent-Length: ${body.length}\r\n\r\n${body}`

const once_ = async (root: string, each: Case, preload: string | undefined) => {
  const { connections, count } = each
  const server = await start(root, preload)
  try {
    const upload = async (left: number) => {
      const keys: Array<string> = []
      await drive(
        server.url,
        connections,
        () => left-- > 0 ? uploadRequest : undefined,
        (text) => keys.push(JSON.parse(text).key)
      )
      return keys
    }
    const download = async (keys: Array<string>) => {
      let got = 0
      await drive(
        server.url,
        connections,
        () => {
          const key = keys.pop()
          return key === undefined ? undefined : `GET /${key} HTTP/1.1\r\n${host}\r\n`
        },
        (text) => got += text.length
      )
      return got
    }
    await download(await upload(Math.ceil(count / 5)))
    let keys: Array<string> = []
    const uploads = await measured(server, each, "uploads", root, async () => {
      keys = await upload(count)
    })
    const downloads = await measured(server, each, "downloads", root, async () => {
      if (await download(keys) !== count * Number(values.bytes)) throw new Error("not all bytes came")
    })
    return { uploads, downloads }
  } finally {
    server.child.kill("SIGTERM")
    await once(server.child, "exit")
  }
}

/** The figures of the better round, and the shortest of the longest times that its event loop was blocked. */
const better = (one: Figures | undefined, other: Figures): Figures => {
  if (one === undefined) return other
  const loopWorstMs = Math.min(one.loopWorstMs, other.loopWorstMs)
  return { ...(one.perSecond > other.perSecond ? one : other), loopWorstMs }
}

const rows: Array<ReadonlyArray<string | number>> = [
  ["case", "at once", "checkout", "per second", "ratio", "processor, ms each", "loop blocked, ms"],
  ["---", "--:", "---", "--:", "--:", "--:", "--:"]
]
try {
  for (const each of cases) {
    const preload = await slowSyncs(each.syncMillis)
    const best = new Map<string, { readonly uploads?: Figures; readonly downloads?: Figures }>()
    for (let done = 0; done < Number(values.rounds); done++) {
      for (const root of roots) {
        const { downloads, uploads } = await once_(root, each, preload)
        const before = best.get(root)
        best.set(root, {
          uploads: better(before?.uploads, uploads),
          downloads: better(before?.downloads, downloads)
        })
      }
    }
    for (const what of ["uploads", "downloads"] as const) {
      const last = best.get(roots.at(-1)!)![what]!
      for (const [root, figures] of best) {
        const { hostCpuMillisEach, loopWorstMs, perSecond } = figures[what]!
        rows.push([
          each.syncMillis === 0 ? what : `${what}, + ${each.syncMillis} ms`,
          each.connections,
          root,
          perSecond,
          (perSecond / last.perSecond).toFixed(2),
          hostCpuMillisEach,
          loopWorstMs
        ])
      }
    }
  }
  for (const row of rows) console.error(`| ${row.join(" | ")} |`)
} finally {
  await rm(folder, { recursive: true, force: true })
}
