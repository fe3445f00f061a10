/**
 * Uploads from disk and downloads to disk, over loopback to the same plain host: this SDK beside curl, undici and, where
 * `python3` has `requests`, a stand-in for the reference Python client.
 *
 * `pnpm bench transfer [--mib 1024] [--rounds 7] [--memory] [--fileio]`; `--memory` also measures 64 MiB, 1 GiB and 8 GiB,
 * `--fileio` an upload by the packed command line, from the start of its process to its end.
 */
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, open, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { unpackFileio } from "./internal/fileio.ts"
import { compare, type Contender, run } from "./internal/measure.ts"

const { values } = parseArgs({
  options: {
    mib: { type: "string", default: "1024" },
    rounds: { type: "string", default: "7" },
    memory: { type: "boolean", default: false },
    fileio: { type: "boolean", default: false }
  }
})
const bytes = Math.round(Number(values.mib) * 1024 * 1024)
const rounds = Number(values.rounds)
const here = (name: string) => join(import.meta.dirname, "contenders", name)

const has = (command: string, ...args: ReadonlyArray<string>) => spawnSync(command, args).status === 0
const python = has("python3", "-c", "import requests")
const curl = has("curl", "--version")
if (!curl) console.error("curl is not here, so nothing is compared with it")
if (!python) console.error("python3 with requests is not here, so the reference client is not compared")

const contenders = (...args: ReadonlyArray<string>): ReadonlyArray<Contender> => [
  ...(curl ? [{ name: "curl", command: "sh", args: [here("curl.sh"), ...args] }] : []),
  { name: "undici", command: process.execPath, args: [here("undici.ts"), ...args] },
  { name: "sdk", command: process.execPath, args: [here("sdk.ts"), ...args] },
  { name: "sdk-sockets", command: process.execPath, args: [here("sdk.ts"), ...args, "sockets"] },
  ...(python ? [{ name: "python-wrapper", command: "python3", args: [here("reference.py"), ...args] }] : [])
]
const base = curl ? ["curl", "undici"] : "undici"

const folder = await mkdtemp(join(tmpdir(), "fileio-bench-"))
const host = spawn(process.execPath, [join(import.meta.dirname, "internal", "plainHost.ts")], {
  stdio: ["ignore", "pipe", "inherit"]
})
try {
  const [line] = await once(host.stdout, "data")
  const url = String(line).trim()

  const source = async (size: number) => {
    const path = join(folder, "source.bin")
    const file = await open(path, "w")
    const chunk = Buffer.alloc(1 << 20, 7)
    for (let at = 0; at < size; at += chunk.length) await file.write(chunk, 0, Math.min(chunk.length, size - at))
    await file.close()
    return path
  }

  const path = await source(bytes)
  const target = join(folder, "target.bin")
  // Writes that one run leaves in the disk's cache would slow down the next one.
  const before = async () => {
    await rm(target, { force: true })
    spawnSync("sync")
  }
  await compare("upload", { bytes }, contenders("upload", url, path), base, rounds, before)
  const plain = contenders("download", url, target, String(bytes))
  await compare("download", { bytes, durable: false }, plain, base, rounds, before)
  const durable = contenders("download", url, target, String(bytes), "durable")
    .filter(({ name }) => name !== "python-wrapper")
  await compare("download", { bytes, durable: true }, durable, base, rounds, before)

  if (values.fileio) {
    const program = await unpackFileio(folder)
    const timed = join(import.meta.dirname, "internal", "timed.ts")
    const fileio = [process.execPath, program, "upload", path, "--base-url", url, "--quiet"]
    const whole = [
      { name: "fileio", command: process.execPath, args: [timed, ...fileio] },
      ...(curl
        ? [{
          name: "curl",
          command: process.execPath,
          args: [timed, "curl", "-sf", "-o", "/dev/null", "-F", `file=@${path}`, `${url}/`]
        }]
        : [])
    ]
    await compare("fileio upload", { bytes }, whole, curl ? "curl" : "fileio", rounds, before)
  }

  if (values.memory) {
    for (const [contender, ...client] of [["sdk"], ["sdk-sockets", "sockets"]] as const) {
      const sdk = (...args: ReadonlyArray<string>) => run(process.execPath, [here("sdk.ts"), ...args, ...client])
      const idle = await sdk("idle", url)
      for (const mib of [64, 1024, 8192]) {
        const size = mib * 1024 * 1024
        const up = await sdk("upload", url, await source(size))
        const down = await sdk("download", url, target, String(size))
        await rm(target, { force: true })
        for (const [what, { peakMiB, wallS }] of [["upload", up], ["download", down]] as const) {
          console.log(JSON.stringify({
            bench: "memory",
            what,
            bytes: size,
            contender,
            wallS,
            peakMiB,
            aboveIdleMiB: peakMiB === null || idle.peakMiB === null ? null : peakMiB - idle.peakMiB
          }))
        }
      }
    }
  }
} finally {
  host.kill()
  await rm(folder, { recursive: true, force: true })
}
