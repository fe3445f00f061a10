/**
 * How fast servers sweep what expires at once: `node test/sweep/main.ts [FILES] [SERVERS]`. The files are rows of one account in
 * PostgreSQL whose objects a stand-in for S3 removes, while a client uploads files of the same account, one after another.
 */
import { Effect, Exit, Redacted, Scope } from "effect"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { standInStore } from "../ceph.ts"
import { postgres, psql, S3_CREDENTIALS } from "../engines.ts"
import { makeServer } from "../lab/server.ts"

const [files = 1_000_000, servers = 3] = process.argv.slice(2).map(Number)
const KEY = "ANNA000.0000000-0000000-0000000-0000001"

const scope = Scope.makeUnsafe()
const provide = <A>(effect: Effect.Effect<A, never, Scope.Scope>) => Effect.runPromise(Scope.provide(effect, scope))
const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "fileio-sweep-"))
const { database } = await provide(postgres({ durable: true }))
const url = await provide(database)
const store = await provide(standInStore)

const serverOf = (index: number, sweepInterval: string) =>
  makeServer([], {
    ...S3_CREDENTIALS,
    FILEIO_SERVER_CATALOG: Redacted.value(url),
    FILEIO_SERVER_BLOBS: `s3://files?endpoint=${store.endpoint}`,
    FILEIO_SERVER_API_KEY: KEY,
    FILEIO_SERVER_DATA: Path.join(folder, String(index)),
    FILEIO_SERVER_PORT: "0",
    FILEIO_SERVER_ADMIN_PORT: "none",
    FILEIO_SERVER_SWEEP_INTERVAL: sweepInterval
  })
const first = serverOf(0, "1 hour")
const all = Array.from({ length: servers }, (_, index) => serverOf(index, "1 second"))

const upload = async (server: string): Promise<number> => {
  const form = new FormData()
  form.append("file", new Blob(["content"]), "a.txt")
  const began = performance.now()
  const { status } = await fetch(server, { method: "POST", body: form, headers: { authorization: `Bearer ${KEY}` } })
  if (status !== 200) throw new Error(`an upload was a ${status}`)
  return performance.now() - began
}

try {
  // It makes the tables, and has swept before there is anything to sweep.
  await first.start()
  // The trigger counts each file in a few rows, of which one change may not make a million versions.
  psql(
    url,
    `
    ALTER TABLE files DISABLE TRIGGER USER;
    INSERT INTO files (key, id, blob, owner, plan, name, folded_name, mime_type, size, expires, downloads, max_downloads,
      auto_delete, created, modified)
    SELECT 'key' || i, i, md5(i::text), 'default', 'premium', 'n', 'n', 'text/plain', 10, 1, 0, 1, TRUE, 1, 1
    FROM generate_series(1, ${files}) AS i;
    INSERT INTO usage (owner, part, bytes, files) SELECT owner, seq & 15, sum(size), count(*) FROM files GROUP BY 1, 2;
    ALTER TABLE files ENABLE TRIGGER USER`
  )
  // A start looks for the objects of the newest files.
  for (let i = 0; i < 100; i++) await upload(first.url())
  await first.kill()
  const began = performance.now()
  const seconds = () => (performance.now() - began) / 1000
  await Promise.all(all.map(({ start }) => start()))
  const listening = seconds()
  const waits: Array<number> = []
  const left = () =>
    Number(psql(url, "SELECT (SELECT count(*) FROM files WHERE expires = 1) + (SELECT count(*) FROM garbage)"))
  let over = false
  const uploading = (async () => {
    for (let i = 0; !over; i++) {
      waits.push(await upload(all[i % servers]!.url()))
      await sleep(50)
    }
  })()
  let buried = 0
  for (let rows = left(); rows > 0; rows = left()) {
    if (buried === 0 && psql(url, "SELECT count(*) FROM files WHERE expires = 1") === "0") buried = seconds()
    await sleep(500)
  }
  const swept = seconds()
  over = true
  await uploading
  const sorted = waits.toSorted((a, b) => a - b)
  const at = (part: number) => Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!)
  process.stdout.write(`${
    JSON.stringify({
      files,
      servers,
      "listening after s": Number(listening.toFixed(1)),
      "rows gone after s": Number(buried.toFixed(1)),
      "objects removed after s": Number(swept.toFixed(1)),
      "files a second": Math.round(files / (swept - listening)),
      uploads: waits.length,
      "upload ms": { median: at(0.5), "99 of 100": at(0.99), longest: at(1) }
    })
  }\n`)
} finally {
  for (const { kill } of [first, ...all]) await kill()
  await Effect.runPromise(Scope.close(scope, Exit.void))
  Fs.rmSync(folder, { recursive: true, force: true })
}
