/**
 * The server's calls without the server: `node:http`, `node:sqlite` and a folder, written well, with the same I/O. An upload
 * goes through a multipart parser to a temporary file, which is synced, renamed and recorded; a download is looked up, claimed
 * and counted; `me` finds the account by the hash of the key and reads what it uses. What no speed can be measured on is left
 * out: limits, plans, leases, pages, errors. `node plain.ts FOLDER KEY` prints its address.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto"
import { createReadStream } from "node:fs"
import { mkdir, open, rename, rm } from "node:fs/promises"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { pipeline } from "node:stream/promises"

const [, , folder = ".", apiKey = ""] = process.argv
const incoming = join(folder, "incoming")
const blobs = join(folder, "blobs")
await mkdir(incoming, { recursive: true })
await mkdir(blobs, { recursive: true })

/** The best of 64 KiB to 1 MiB here. */
const READ_BYTES = 1024 * 1024
const WRITE_BYTES = 1024 * 1024

const db = new DatabaseSync(join(folder, "catalog.sqlite"))
db.exec(`
  PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
  CREATE TABLE files (key TEXT PRIMARY KEY, blob TEXT NOT NULL, owner TEXT NOT NULL, name TEXT NOT NULL,
    size INTEGER NOT NULL, downloads INTEGER NOT NULL, max_downloads INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE usage (owner TEXT PRIMARY KEY, bytes INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  INSERT INTO usage VALUES ('bench', 0);
`)
const sql = {
  insert: db.prepare("INSERT INTO files VALUES (?, ?, 'bench', ?, ?, 0, ?)"),
  use: db.prepare("UPDATE usage SET bytes = bytes + ? WHERE owner = 'bench'"),
  used: db.prepare("SELECT bytes FROM usage WHERE owner = ?"),
  get: db.prepare("SELECT * FROM files WHERE key = ?"),
  claim: db.prepare(
    "UPDATE files SET downloads = downloads + 1 WHERE key = ? AND downloads < max_downloads RETURNING *"
  ),
  remove: db.prepare("DELETE FROM files WHERE key = ?")
}

const hash = (text: string) => createHash("sha256").update(text).digest()
const known = [{ hash: hash(apiKey), account: "bench" }]
const accountOf = (request: IncomingMessage): string | undefined => {
  const asked = hash((request.headers.authorization ?? "").slice("Bearer ".length))
  return known.find((each) => timingSafeEqual(each.hash, asked))?.account
}

const json = (response: ServerResponse, status: number, body: unknown) => {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store"
  })
  response.end(text)
}

const me = (response: ServerResponse, account: string) =>
  json(response, 200, {
    success: true,
    status: 200,
    planId: 1,
    maxUploadBytes: 1e12,
    maxStorageBytes: 1e13,
    usedStorageBytes: sql.used.get(account)!["bytes"],
    rateLimit: null,
    customDomain: null,
    directDownload: true
  })

interface Parts {
  /** The bytes of the file in this chunk, possibly in several pieces. */
  readonly take: (chunk: Buffer) => Buffer | undefined
  readonly fields: Map<string, string>
}

/** A multipart parser for one file and short fields before it. */
const parse = (boundary: string): Parts => {
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  const fields = new Map<string, string>()
  let inFile = false
  let done = false
  let rest: Buffer = Buffer.from("\r\n")
  const take = (chunk: Buffer): Buffer | undefined => {
    if (done) return undefined
    let at = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    while (!inFile) {
      const began = at.indexOf(delimiter)
      const head = began === -1 ? -1 : at.indexOf("\r\n\r\n", began)
      if (head === -1) return void (rest = at)
      const headers = at.toString("utf8", began, head)
      if (headers.includes("filename=")) {
        inFile = true
        at = at.subarray(head + 4)
        break
      }
      const end = at.indexOf(delimiter, head)
      if (end === -1) return void (rest = at)
      fields.set(/name="([^"]*)"/.exec(headers)![1]!, at.toString("utf8", head + 4, end))
      at = at.subarray(end)
    }
    const end = at.indexOf(delimiter)
    if (end !== -1) {
      done = true
      return at.subarray(0, end)
    }
    // The start of a delimiter may be at the end of the chunk.
    const tail = at.indexOf("\r", Math.max(0, at.length - delimiter.length))
    rest = tail === -1 ? Buffer.alloc(0) : Buffer.from(at.subarray(tail))
    return tail === -1 ? at : at.subarray(0, tail)
  }
  return { take, fields }
}

const upload = async (request: IncomingMessage, response: ServerResponse) => {
  const { fields, take } = parse(/boundary=(.+)$/.exec(request.headers["content-type"] ?? "")![1]!)
  const blob = randomBytes(16).toString("hex")
  const temporary = join(incoming, blob)
  const file = await open(temporary, "wx", 0o600)
  let size = 0
  let gathered: Array<Buffer> = []
  let held = 0
  let running: Promise<unknown> = Promise.resolve()
  const flush = async () => {
    await running
    const pieces = gathered
    gathered = []
    held = 0
    if (pieces.length > 0) running = file.writev(pieces)
  }
  for await (const chunk of request as AsyncIterable<Buffer>) {
    const piece = take(chunk)
    if (piece === undefined || piece.length === 0) continue
    size += piece.length
    held += piece.length
    gathered.push(piece)
    if (held >= WRITE_BYTES) await flush()
  }
  await flush()
  await running
  await file.sync()
  await file.close()
  await rename(temporary, join(blobs, blob))
  const parent = await open(blobs, "r")
  await parent.sync()
  await parent.close()
  const key = randomBytes(9).toString("base64url")
  db.exec("BEGIN IMMEDIATE")
  sql.insert.run(key, blob, "source.bin", size, Number(fields.get("maxDownloads") ?? 1))
  sql.use.run(size)
  db.exec("COMMIT")
  json(response, 200, { success: true, status: 200, key, name: "source.bin", size })
}

const download = async (response: ServerResponse, key: string) => {
  const row = sql.get.get(key) === undefined ? undefined : sql.claim.get(key)
  if (row === undefined) return json(response, 404, { success: false, status: 404 })
  const path = join(blobs, row["blob"] as string)
  response.writeHead(200, {
    "content-type": "application/octet-stream",
    "content-disposition": `attachment; filename="${row["name"]}"`,
    "content-length": Number(row["size"]),
    "cache-control": "private, no-store"
  })
  // A receiver that has all bytes may close the connection before Node reports that they are written.
  await pipeline(createReadStream(path, { highWaterMark: READ_BYTES }), response).catch((cause) => {
    if (cause.code !== "ERR_STREAM_PREMATURE_CLOSE") throw cause
  })
  if (row["downloads"] !== row["max_downloads"]) return
  sql.remove.run(key)
  sql.use.run(-Number(row["size"]))
  await rm(path, { force: true })
}

const server = createServer({ requestTimeout: 0 }, (request, response) => {
  const account = accountOf(request)
  const path = request.url ?? ""
  const handled = async () => {
    if (request.method === "POST") await upload(request, response)
    else if (path !== "/me") await download(response, path.slice(1))
    else if (account === undefined) json(response, 401, { success: false, status: 401 })
    else me(response, account)
  }
  handled().catch((cause) => {
    console.error(cause)
    response.destroy()
  })
})
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
