/**
 * The server beside a plain `node:http` host that does the same I/O, and for downloads beside nginx, each in a process of its
 * own: uploads by `curl -F`, downloads by `curl -o /dev/null`, and GET /me over connections that are kept alive.
 *
 * `pnpm bench server [--mib 1024] [--requests 50000] [--connections 16] [--rounds 7] [--only upload|download|me]`
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { chmod, mkdir, mkdtemp, open, readFile, rm, writeFile } from "node:fs/promises"
import { connect, createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pipeline } from "node:stream/promises"
import { parseArgs } from "node:util"
import { compare, type Contender } from "./internal/measure.ts"

const { values } = parseArgs({
  options: {
    mib: { type: "string", default: "1024" },
    requests: { type: "string", default: "50000" },
    connections: { type: "string", default: "16" },
    rounds: { type: "string", default: "7" },
    only: { type: "string" }
  }
})
const bytes = Math.round(Number(values.mib) * 1024 * 1024)
const rounds = Number(values.rounds)
const wants = (name: string) => values.only === undefined || values.only === name
const apiKey = "BENCH00.0000000-0000000-0000000-0000001"

const has = (command: string) => spawnSync(command, [command === "nginx" ? "-v" : "--version"]).status === 0
const curl = has("curl")
const nginx = has("nginx")
if (!curl) console.error("curl is not here, so uploads and downloads are not measured")
if (!nginx) console.error("nginx is not here, so downloads are not compared with it")

const folder = await mkdtemp(join(tmpdir(), "fileio-bench-"))
const running: Array<ChildProcess> = []

interface Host {
  readonly name: string
  readonly url: string
  /** What the host used since the last call. */
  readonly used: () => Promise<Readonly<Record<string, number>>>
}

const cpuOf = (pid: number): number => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    return (Number(fields[11]) + Number(fields[12])) / 100
  } catch {
    return NaN
  }
}

const round = (value: number) => Math.round(value * 1000) / 1000

/** Starts a host in Node, with the watcher; its first line is its address. */
const startNode = async (name: string, args: ReadonlyArray<string>, env?: Record<string, string>): Promise<Host> => {
  const child = spawn(process.execPath, ["--import", join(import.meta.dirname, "server", "watch.ts"), ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit", "ipc"]
  })
  running.push(child)
  const [line] = await once(child.stdout!, "data")
  const url = /http:\/\/[\w.:]+/.exec(String(line))![0]
  let cpu = 0
  return {
    name,
    url,
    used: async () => {
      child.send("report")
      const [{ p99Ms, worstMs, worstWorkMs }] = await once(child, "message") as [Readonly<Record<string, number>>]
      const before = cpu
      cpu = cpuOf(child.pid!)
      return {
        hostCpuS: round(cpu - before),
        loopP99Ms: round(p99Ms!),
        loopWorstMs: round(worstMs!),
        loopWorstWorkMs: round(worstWorkMs!)
      }
    }
  }
}

const startOurs = async (): Promise<Host> => {
  const data = join(folder, "ours")
  await mkdir(data)
  const plan = { maxUploadBytes: 1e13, maxStorageBytes: 1e14, rateLimit: null }
  await writeFile(join(data, "accounts.json"), JSON.stringify({ plans: { premium: plan }, accounts: [] }))
  return startNode("server", [join(import.meta.dirname, "..", "packages", "server", "src", "bin.ts")], {
    FILEIO_SERVER_PORT: "0",
    FILEIO_SERVER_ADMIN_PORT: "none",
    FILEIO_SERVER_DATA: data,
    FILEIO_SERVER_API_KEY: apiKey,
    FILEIO_SERVER_ANONYMOUS_RATE: "none"
  })
}

const startPlain = async (): Promise<Host> => {
  const data = join(folder, "plain")
  await mkdir(data)
  return startNode("node:http", [join(import.meta.dirname, "server", "plain.ts"), data, apiKey])
}

/** One worker that serves files of a folder, tuned for large ones. */
const startNginx = async (files: string): Promise<Host> => {
  const own = join(folder, "nginx")
  await mkdir(own)
  // Started by root, its worker runs as nobody.
  await chmod(folder, 0o755)
  const probe = createServer().listen(0, "127.0.0.1")
  await once(probe, "listening")
  const { port } = probe.address() as { readonly port: number }
  probe.close()
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${own}/${name};`).join(" ")
  await writeFile(
    join(own, "nginx.conf"),
    `daemon off; worker_processes 1; pid ${own}/pid; error_log stderr error;
     events { worker_connections 64; }
     http {
       access_log off; sendfile on; tcp_nopush on; ${temporary}
       server { listen 127.0.0.1:${port}; root ${files}; default_type application/octet-stream; }
     }`
  )
  const child = spawn("nginx", ["-p", own, "-c", join(own, "nginx.conf"), "-e", "stderr"], {
    stdio: ["ignore", "ignore", "inherit"]
  })
  running.push(child)
  const listens = () =>
    new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false))
      socket.unref().setTimeout(1000, () => socket.destroy())
      socket.on("connect", () => socket.end())
    })
  for (let tries = 0; !(await listens()); tries++) {
    if (tries === 100 || child.exitCode !== null) throw new Error("nginx did not start")
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const workers = (): ReadonlyArray<number> =>
    readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim().split(" ").map(Number)
  let cpu = 0
  return {
    name: "nginx",
    url: `http://127.0.0.1:${port}`,
    used: async () => {
      const before = cpu
      cpu = workers().reduce((sum, pid) => sum + cpuOf(pid), 0)
      return { hostCpuS: round(cpu - before) }
    }
  }
}

const authorization = `authorization: Bearer ${apiKey}`
const source = join(folder, "files", "source.bin")
await mkdir(join(folder, "files"), { mode: 0o755 })

/** No two parts are alike, so that lost or doubled bytes show. */
const writeSource = async () => {
  const file = await open(source, "w", 0o644)
  const hash = createHash("sha256")
  const chunk = Buffer.alloc(1 << 20)
  for (let at = 0; at < bytes; at += chunk.length) {
    for (let i = 0; i < chunk.length; i += 4) chunk.writeUInt32LE(((at + i) * 2654435761) >>> 0, i)
    const part = chunk.subarray(0, Math.min(chunk.length, bytes - at))
    hash.update(part)
    await file.write(part)
  }
  await file.sync()
  await file.close()
  return hash.digest("hex")
}

/** Fetches a file in another way than the measured ones, and fails if it differs from the source. */
const check = async (host: Host, path: string, expected: string) => {
  const response = await fetch(`${host.url}/${path}`)
  const hash = createHash("sha256")
  if (response.body !== null) await pipeline(response.body, hash)
  const found = hash.digest("hex")
  if (response.status !== 200 || found !== expected) {
    throw new Error(`${host.name} gave ${response.status} and other bytes for /${path}`)
  }
}

const uploadOf = async (path: string): Promise<{ readonly key: string; readonly size: number }> => {
  const stored = JSON.parse(await readFile(path, "utf8"))
  if (typeof stored.key !== "string" || stored.size !== bytes) {
    throw new Error(`the upload was not taken whole: ${JSON.stringify(stored)}`)
  }
  return stored
}

const uploads = (hosts: ReadonlyArray<Host>, digest: string): ReadonlyArray<Contender> =>
  hosts.map((host) => {
    const stored = join(folder, "upload.json")
    return {
      name: host.name,
      command: "curl",
      args: [
        "-sf",
        "-o",
        stored,
        "-w",
        "{\"wallS\":%{time_total}}",
        "-H",
        authorization,
        "-F",
        `file=@${source}`,
        host.url
      ],
      // Fetches the stored file, which also uses it up.
      after: async () => {
        const used = await host.used()
        const { key } = await uploadOf(stored)
        await check(host, key, digest)
        await host.used()
        return used
      }
    }
  })

const downloads = async (hosts: ReadonlyArray<Host>, digest: string): Promise<ReadonlyArray<Contender>> => {
  const contenders: Array<Contender> = []
  for (const host of hosts) {
    let path = "source.bin"
    if (host.name !== "nginx") {
      const stored = join(folder, "upload.json")
      const form = ["-F", "maxDownloads=1000000", "-F", `file=@${source}`]
      const { status } = spawnSync("curl", ["-sf", "-o", stored, "-H", authorization, ...form, host.url])
      if (status !== 0) throw new Error(`${host.name} did not take the file`)
      path = (await uploadOf(stored)).key
    }
    await check(host, path, digest)
    await host.used()
    contenders.push({
      name: host.name,
      command: "curl",
      args: [
        "-sf",
        "-o",
        "/dev/null",
        "-w",
        "{\"wallS\":%{time_total},\"received\":%{size_download}}",
        `${host.url}/${path}`
      ],
      after: async (said) => {
        if (said["received"] !== bytes) throw new Error(`${host.name} gave ${said["received"]} of ${bytes} bytes`)
        return host.used()
      }
    })
  }
  return contenders
}

const calls = (hosts: ReadonlyArray<Host>): ReadonlyArray<Contender> => {
  // A warm-up of a tenth comes before the measurement.
  const asked = Number(values.requests) + Math.ceil(Number(values.requests) / 10)
  return hosts.map((host) => ({
    name: host.name,
    command: process.execPath,
    args: [join(import.meta.dirname, "server", "load.ts"), host.url, apiKey, values.requests, values.connections],
    after: async () => {
      const used = await host.used()
      return { ...used, hostCpuMicrosEach: Math.round(used["hostCpuS"]! / asked * 1e7) / 10 }
    }
  }))
}

try {
  const hosts = [await startPlain(), await startOurs()]
  if (wants("me")) {
    for (const host of hosts) await host.used()
    const facts = { what: "me", count: Number(values.requests), connections: Number(values.connections) }
    await compare("server", facts, calls(hosts), "node:http", rounds)
  }
  if (curl && (wants("upload") || wants("download"))) {
    const digest = await writeSource()
    for (const host of hosts) await host.used()
    if (wants("upload")) await compare("server", { what: "upload", bytes }, uploads(hosts, digest), "node:http", rounds)
    if (wants("download")) {
      const all = nginx ? [...hosts, await startNginx(join(folder, "files"))] : hosts
      await compare("server", { what: "download", bytes }, await downloads(all, digest), "node:http", rounds)
    }
  }
} finally {
  for (const child of running) child.kill("SIGTERM")
  await Promise.all(running.map((child) => child.exitCode === null ? once(child, "exit") : undefined))
  await rm(folder, { recursive: true, force: true })
}
