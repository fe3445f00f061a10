/**
 * Measures the memory of a server whose clients misbehave: they do not read, do not continue, or pipeline requests. The clients
 * are sockets of this process, from several loopback addresses, since connections per address are limited; the server is the
 * program, in its own process.
 */
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"

const BIN = fileURLToPath(new URL("../../src/bin.ts", import.meta.url))
const MIB = 1024 * 1024
/** Connections of one address. */
const PER_ADDRESS = 256

interface Server {
  readonly url: string
  readonly port: number
  readonly pid: number
  readonly admin: string
  readonly stop: () => Promise<void>
}

const memoryOf = ({ pid }: Server, name: "VmRSS" | "VmHWM"): number =>
  Number(new RegExp(`${name}:\\s+(\\d+)`).exec(Fs.readFileSync(`/proc/${pid}/status`, "utf8"))![1]) / 1024

const serve = async (connections: number): Promise<Server> => {
  const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "fileio-pressure-"))
  const flags = ["--port", "0", "--data", folder, "--anonymous-rate", "none", "--anonymous-plan", "premium"]
  const limits = ["--max-connections", String(connections + 16)]
  const child = spawn(process.execPath, [BIN, ...flags, ...limits], { stdio: ["ignore", "pipe", "inherit"] })
  const exited = new Promise((resolve) => child.once("exit", resolve))
  let output = ""
  child.stdout.on("data", (chunk) => output += String(chunk))
  while (!output.includes("\n")) {
    if (child.exitCode !== null) throw new Error("the server did not start")
    await sleep(20)
  }
  const url = /file\.io on (\S+?),/.exec(output)![1]!
  return {
    url,
    port: Number(new URL(url).port),
    pid: child.pid!,
    admin: /admin on (\S+?),/.exec(output)![1]!,
    stop: async () => {
      child.kill("SIGKILL")
      await exited
      Fs.rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** Waits until a condition holds, or gives up silently: the measurement shows it. */
const until = async (condition: () => Promise<boolean> | boolean, within = 30_000): Promise<void> => {
  const end = performance.now() + within
  while (!(await condition()) && performance.now() < end) await sleep(100)
}

/** Waits until the memory does not change any more. */
const settled = async (server: Server): Promise<number> => {
  let last = memoryOf(server, "VmRSS")
  await until(async () => {
    await sleep(400)
    const now = memoryOf(server, "VmRSS")
    const isSteady = Math.abs(now - last) < 2
    last = now
    return isSteady
  })
  return last
}

const openConnections = async ({ admin }: Server): Promise<number> => {
  const text = await fetch(`${admin}/metrics`).then((response) => response.text())
  return Number(/^fileio_connections (\d+)/m.exec(text)![1])
}

const store = async ({ url }: Server, bytes: number): Promise<string> => {
  const form = new FormData()
  form.append("maxDownloads", "")
  form.append("file", new Blob([new Uint8Array(bytes)]), "x")
  const response = await fetch(url, { method: "POST", body: form })
  return (await response.json() as { readonly key: string }).key
}

const post = (type: string, length: number, body: string) =>
  `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n\r\n${body}`

const postChunked = (type: string) =>
  `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n`

const FORM = "application/x-www-form-urlencoded"
const MULTIPART = "multipart/form-data; boundary=b"
const part = (disposition: string) => `--b\r\nContent-Disposition: form-data; ${disposition}\r\n\r\n`
const file = part("name=\"file\"; filename=\"f\"")

/** A chunked body whose chunks have one byte each, without its end. */
const byteByByte = (text: string) => Array.from(text, (byte) => `1\r\n${byte}\r\n`).join("")

/** The bytes that each connection of a kind sends before it stops. `key` is a file of 32 MiB. */
const kinds: Readonly<Record<string, (key: string) => string | Buffer>> = {
  "nothing": () => "",
  "half of the headers": () => `GET / HTTP/1.1\r\nHost: x\r\n${"x-a: b\r\n".repeat(1500)}x-long: ${"y".repeat(4000)}`,
  "a download that is not read": (key) => `GET /${key} HTTP/1.1\r\nHost: x\r\n\r\n`,
  "a hundred downloads that are not read": (key) => `GET /${key} HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(100),
  "a hundred answers that are not read": () => "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100),
  "a download that is not read, and requests behind it": (key) =>
    `GET /${key} HTTP/1.1\r\nHost: x\r\n\r\n` + "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(60),
  "the head of an upload": () => post(MULTIPART, 16 * MIB, file),
  "a little of an upload": () => Buffer.from(post(MULTIPART, 16 * MIB, file + "a".repeat(15_000))),
  "a part of an upload": () => Buffer.from(post(MULTIPART, 16 * MIB, file + "a".repeat(500_000))),
  "a part of a text": () => Buffer.from(post(FORM, 16 * MIB, `text=${"a".repeat(500_000)}`)),
  "fields without an end": () =>
    Buffer.from(
      post(
        MULTIPART,
        16 * MIB,
        part("name=\"title\"") + "a".repeat(4000) + "\r\n" + (part("name=\"x\"") + "b".repeat(4000) + "\r\n").repeat(90)
      )
    ),
  "a part of an upload, byte by byte": () => postChunked(MULTIPART) + byteByByte(file + "a".repeat(2000)),
  "a body that is refused": () => Buffer.from(post("text/plain", 16 * MIB, "a".repeat(200_000)))
}

const connect = (port: number, index: number, bytes: string | Buffer): Promise<Net.Socket> =>
  new Promise((resolve, reject) => {
    const localAddress = `127.0.0.${1 + Math.floor(index / PER_ADDRESS)}`
    const socket = Net.connect({ port, host: "127.0.0.1", localAddress })
    socket.pause()
    socket.once("error", reject)
    socket.once("connect", () => {
      socket.off("error", reject)
      socket.on("error", () => {})
      // Resolves when the system has taken all of it, or takes no more.
      const timer = setTimeout(() => resolve(socket), 5000)
      socket.write(bytes, () => {
        clearTimeout(timer)
        resolve(socket)
      })
    })
  })

interface Figures {
  readonly kind: string
  readonly connections: number
  /** Memory of the server in MiB before, with the connections open, and the most at any time. */
  readonly before: number
  readonly open: number
  readonly peak: number
  /** Whether another client is served while they are open. */
  readonly serves: boolean
}

/** Whether a client from another address is served. */
const serves = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = Net.connect({ port, host: "127.0.0.1", localAddress: "127.0.1.1" })
    // Only tells a server that serves nobody else from a slow machine.
    socket.setTimeout(300_000, () => socket.destroy())
    socket.on("connect", () => socket.write("GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
    socket.once("data", (chunk) => resolve(String(chunk).startsWith("HTTP/1.1 200")))
    socket.on("error", () => resolve(false))
    socket.on("close", () => resolve(false))
  })

const measure = async (server: Server, kind: string, connections: number): Promise<Figures> => {
  const sockets: Array<Net.Socket> = []
  const bytes = kinds[kind]!(await store(server, 32 * MIB))
  const before = await settled(server)
  let next = 0
  const worker = async () => {
    while (next < connections) sockets.push(await connect(server.port, next++, bytes))
  }
  try {
    await Promise.all(Array.from({ length: 32 }, worker))
    const open = await settled(server)
    const peak = memoryOf(server, "VmHWM")
    return {
      kind,
      connections,
      before: Math.round(before),
      open: Math.round(open),
      peak: Math.round(peak),
      serves: await serves(server.port)
    }
  } finally {
    for (const socket of sockets) socket.destroy()
    await until(async () => (await openConnections(server)) < 16)
  }
}

/** Measures kinds in turn, each on its own server, or all on one. */
export const run = async (
  connections: number,
  options: {
    readonly names?: ReadonlyArray<string> | undefined
    readonly onOne?: boolean | undefined
    readonly onFigures?: ((figures: Figures) => void) | undefined
  } = {}
): Promise<ReadonlyArray<Figures>> => {
  const all: Array<Figures> = []
  let server: Server | undefined
  try {
    for (const name of options.names ?? Object.keys(kinds)) {
      server ??= await serve(connections)
      const figures = await measure(server, name, connections)
      options.onFigures?.(figures)
      all.push(figures)
      if (options.onOne === true) continue
      await server.stop()
      server = undefined
    }
    return all
  } finally {
    await server?.stop()
  }
}
