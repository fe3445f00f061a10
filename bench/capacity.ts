/**
 * Small files a second: uploads and one-time downloads of 1 KiB over HTTP, over connections that are kept alive, by the server's
 * program with SQLite and a folder. With `--root` also by other checkouts of this repository, in turn, round after round.
 *
 * `pnpm bench capacity [--count 3000] [--connections 64] [--bytes 1024] [--rounds 3] [--sync-millis 2] [--root FOLDER ...]`
 *
 * `--sync-millis` makes every sync of the disk take so much longer, as on one without power-loss protection; it needs Linux and a
 * C compiler.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { parseArgs } from "node:util"

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
const count = Number(values.count)
const connections = Number(values.connections)
const syncMillis = Number(values["sync-millis"])
const roots = [join(import.meta.dirname, ".."), ...values.root.map((root) => resolve(root))]

const folder = await mkdtemp(join(tmpdir(), "fileio-bench-"))

/** A library to preload that makes syncs slow. */
const slowSyncs = async (): Promise<string | undefined> => {
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

/** One request after another over each connection; `take` gets the body of each response. */
const drive = async ({ url }: Server, next: () => string | undefined, take: (text: string) => void) => {
  const one = async () => {
    const socket = connect(Number(url.port), url.hostname)
    socket.setNoDelay(true)
    await once(socket, "connect")
    await new Promise<void>((resolve, reject) => {
      let text = ""
      const go = () => {
        const request = next()
        if (request === undefined) return void socket.end(resolve)
        socket.write(request)
      }
      socket.setEncoding("latin1").on("data", (chunk: string) => {
        text += chunk
        const head = text.indexOf("\r\n\r\n")
        if (head === -1) return
        const length = Number(/content-length: *(\d+)/i.exec(text)?.[1])
        if (text.length < head + 4 + length) return
        if (!text.startsWith("HTTP/1.1 200 ")) return void reject(new Error(text))
        take(text.slice(head + 4))
        text = ""
        go()
      })
      socket.on("error", reject)
      go()
    })
  }
  await Promise.all(Array.from({ length: connections }, one))
}

const round = (value: number) => Math.round(value * 100) / 100

const measured = async (server: Server, what: string, root: string, run: () => Promise<void>) => {
  const { child } = server
  child.send("report")
  await once(child, "message")
  const cpu = cpuOf(child.pid!)
  const began = performance.now()
  await run()
  const wallS = (performance.now() - began) / 1000
  child.send("report")
  const [{ worstMs, worstWorkMs }] = await once(child, "message") as [Readonly<Record<string, number>>]
  const perSecond = Math.round(count / wallS)
  console.log(JSON.stringify({
    bench: "capacity",
    what,
    root,
    connections,
    syncMillis,
    wallS: round(wallS),
    perSecond,
    hostCpuMillisEach: round((cpuOf(child.pid!) - cpu) / count * 1000),
    loopWorstMs: round(worstMs!),
    loopWorstWorkMs: round(worstWorkMs!)
  }))
  return perSecond
}

const host = "Host: localhost\r\nAccept: */*\r\nUser-Agent: bench\r\n"
const uploadRequest =
  `POST /?maxDownloads=1 HTTP/1.1\r\n${host}Content-Type: multipart/form-data; boundary=${boundary}\r\nContent-Length: ${body.length}\r\n\r\n${body}`

const once_ = async (root: string, preload: string | undefined) => {
  const server = await start(root, preload)
  try {
    const upload = async (left: number) => {
      const keys: Array<string> = []
      await drive(server, () => left-- > 0 ? uploadRequest : undefined, (text) => keys.push(JSON.parse(text).key))
      return keys
    }
    const download = async (keys: Array<string>) => {
      let got = 0
      await drive(
        server,
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
    const uploads = await measured(server, "uploads", root, async () => {
      keys = await upload(count)
    })
    const downloads = await measured(server, "downloads", root, async () => {
      if (await download(keys) !== count * Number(values.bytes)) throw new Error("not all bytes came")
    })
    return { uploads, downloads }
  } finally {
    server.child.kill("SIGTERM")
    await once(server.child, "exit")
  }
}

const best = new Map<string, { uploads: number; downloads: number }>()
try {
  const preload = await slowSyncs()
  for (let each = 0; each < Number(values.rounds); each++) {
    for (const root of roots) {
      const { downloads, uploads } = await once_(root, preload)
      const before = best.get(root) ?? { uploads: 0, downloads: 0 }
      best.set(root, {
        uploads: Math.max(before.uploads, uploads),
        downloads: Math.max(before.downloads, downloads)
      })
    }
  }
  for (const [root, figures] of best) {
    console.log(JSON.stringify({ bench: "capacity", best: root, syncMillis, ...figures }))
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}
