/** undici, written well. `node undici.ts upload|download URL PATH [BYTES] [durable]` */
import { createReadStream, createWriteStream } from "node:fs"
import { open, rename, stat } from "node:fs/promises"
import { dirname } from "node:path"
import { Readable } from "node:stream"
import { pipeline } from "node:stream/promises"
import { Agent, request } from "undici"
import { watchLoop } from "../internal/watchLoop.ts"

const [, , what, baseUrl, path, bytes, durable] = process.argv
const dispatcher = new Agent()
const READ_BYTES = 512 * 1024

const upload = async () => {
  const boundary = "fileio-bench-boundary"
  const head = Buffer.from(
    `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="bench.bin"\r\n` +
      "Content-Type: application/octet-stream\r\n\r\n"
  )
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  const { size } = await stat(path!)
  const body = Readable.from(
    (async function*() {
      yield head
      yield* createReadStream(path!, { highWaterMark: READ_BYTES })
      yield tail
    })(),
    { objectMode: false, highWaterMark: READ_BYTES }
  )
  const response = await request(`${baseUrl}/`, {
    dispatcher,
    method: "POST",
    headers: {
      "content-type": `multipart/form-data; boundary=${boundary}`,
      "content-length": String(head.length + size + tail.length)
    },
    body
  })
  await response.body.json()
}

const download = async () => {
  const response = await request(`${baseUrl}/bytes${bytes!.padStart(12, "0")}`, { dispatcher })
  const part = `${path}.part`
  await pipeline(response.body, createWriteStream(part, { highWaterMark: READ_BYTES }))
  if (durable === "durable") {
    const file = await open(part, "r+")
    await file.sync()
    await file.close()
  }
  await rename(part, path!)
  if (durable === "durable") {
    const folder = await open(dirname(path!), "r")
    await folder.sync()
    await folder.close()
  }
}

const stalls = watchLoop()
const began = performance.now()
await (what === "upload" ? upload() : download())
console.log(JSON.stringify({ wallS: (performance.now() - began) / 1000, ...stalls() }))
await dispatcher.close()
