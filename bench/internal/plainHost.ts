/**
 * A plain `node:http` host, the same for all clients: it discards uploads, sends as many bytes as are requested, or the file
 * that is its argument, and has one account. Run as a program, it prints its address.
 */
import { createReadStream, statSync } from "node:fs"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

const chunk = Buffer.alloc(1 << 20, 7)
const json = (response: ServerResponse, body: unknown) => {
  const text = JSON.stringify(body)
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(text) }).end(text)
}

const me = {
  success: true,
  status: 200,
  planId: 1,
  maxUploadBytes: 1e12,
  maxStorageBytes: 1e13,
  usedStorageBytes: 0,
  rateLimit: 1e9
}

const upload = (request: IncomingMessage, response: ServerResponse) => {
  request.on("data", () => {})
  request.on(
    "end",
    () => json(response, { success: true, status: 200, key: "abcdefABCDEF", link: "http://localhost/abcdefABCDEF" })
  )
}

const download = (response: ServerResponse, size: number) => {
  response.writeHead(200, {
    "content-length": size,
    "content-disposition": "attachment; filename=bench.bin",
    "content-type": "application/octet-stream"
  })
  let left = size
  const go = () => {
    while (left > 0) {
      const bytes = left >= chunk.length ? chunk : chunk.subarray(0, left)
      left -= bytes.length
      if (!response.write(bytes)) {
        response.once("drain", go)
        return
      }
    }
    response.end()
  }
  go()
}

/** A file on disk, which has one key of its own. */
const file = process.argv[2]

const server = createServer({ requestTimeout: 0 }, (request, response) => {
  if (request.method === "POST") upload(request, response)
  else if (request.url === "/me") json(response, me)
  else if (request.url === "/encrypted0000" && file !== undefined) {
    response.writeHead(200, { "content-length": statSync(file).size, "content-type": "application/octet-stream" })
    createReadStream(file, { highWaterMark: 1 << 20 }).pipe(response)
  } else {
    // The key has the number of bytes: `bytes00001048576`.
    const size = Number(/bytes(\d+)/.exec(request.url ?? "")?.[1] ?? "1")
    download(response, size)
  }
})
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`))
