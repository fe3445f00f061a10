/**
 * Encrypted uploads from disk and downloads to disk, over loopback to the same plain host: this SDK beside `age | curl` and,
 * without a network, the library alone.
 *
 * `pnpm bench encryption [--mib 1024] [--rounds 5]`
 */
import { execFileSync, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, open, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { compare, type Contender } from "./internal/measure.ts"

const { values } = parseArgs({
  options: { mib: { type: "string", default: "1024" }, rounds: { type: "string", default: "5" } }
})
const bytes = Math.round(Number(values.mib) * 1024 * 1024)
const rounds = Number(values.rounds)
const here = (name: string) => join(import.meta.dirname, "contenders", name)

const hasAge = spawnSync("age", ["--version"]).status === 0 && spawnSync("curl", ["--version"]).status === 0
if (!hasAge) console.error("age or curl is not here, so nothing is compared with them")

const folder = await mkdtemp(join(tmpdir(), "fileio-bench-"))
const [source, encrypted, target, keyFile] = ["source.bin", "source.age", "target.bin", "key.txt"].map((name) =>
  join(folder, name)
) as [string, string, string, string]

// A pair of keys that is of use here alone.
const RECIPIENT = "age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef"
const IDENTITY = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"

const fill = async () => {
  const file = await open(source, "w")
  const chunk = Buffer.alloc(1 << 20, 7)
  for (let at = 0; at < bytes; at += chunk.length) await file.write(chunk, 0, Math.min(chunk.length, bytes - at))
  await file.close()
}

const contenders = (what: string, url: string, path: string, key: string, file: string): ReadonlyArray<Contender> => [
  ...(hasAge ? [{ name: "age | curl", command: "sh", args: [here("ageCurl.sh"), what, url, path, file] }] : []),
  { name: "sdk", command: process.execPath, args: [here("encrypted.ts"), what, url, path, key] },
  {
    name: "library alone",
    command: process.execPath,
    args: [here("encrypted.ts"), "library", url, what === "upload" ? path : encrypted, key]
  }
]

const host = spawn(process.execPath, [join(import.meta.dirname, "internal", "plainHost.ts"), encrypted], {
  stdio: ["ignore", "pipe", "inherit"]
})
try {
  const [line] = await once(host.stdout, "data")
  const url = String(line).trim()
  await fill()
  await writeFile(keyFile, `${IDENTITY}\n`)
  execFileSync(process.execPath, [here("encryptFile.ts"), source, encrypted, RECIPIENT])
  const before = async () => {
    await rm(target, { force: true })
    spawnSync("sync")
  }
  const base = hasAge ? "age | curl" : "library alone"
  await compare(
    "encrypted upload",
    { bytes },
    contenders("upload", url, source, RECIPIENT, RECIPIENT),
    base,
    rounds,
    before
  )
  await compare(
    "encrypted download",
    { bytes },
    contenders("download", url, target, IDENTITY, keyFile),
    base,
    rounds,
    before
  )
} finally {
  host.kill()
  await rm(folder, { recursive: true, force: true })
}
