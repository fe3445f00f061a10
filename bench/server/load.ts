/**
 * A number of GET /me over a number of kept-alive connections, sequentially on each. Raw sockets, so that the server is the
 * bottleneck. `node load.ts URL KEY REQUESTS CONNECTIONS`
 */
import { once } from "node:events"
import { connect } from "node:net"

const [, , url = "", apiKey, requests_, connections_] = process.argv
const requests = Number(requests_)
const connections = Number(connections_)
const { hostname, port } = new URL(url)
const request = Buffer.from(
  `GET /me HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: Bearer ${apiKey}\r\nAccept: application/json\r\n\r\n`
)

/** One response after another until all requests are made. Every response must be one of the account. */
const drive = async (next: () => boolean) => {
  const socket = connect(Number(port), hostname)
  socket.setNoDelay(true)
  await once(socket, "connect")
  await new Promise<void>((resolve, reject) => {
    let text = ""
    const go = () => {
      if (!next()) return void socket.end(resolve)
      socket.write(request)
    }
    socket.setEncoding("latin1").on("data", (chunk: string) => {
      text += chunk
      const head = text.indexOf("\r\n\r\n")
      if (head === -1) return
      const length = Number(/content-length: *(\d+)/i.exec(text)?.[1])
      if (text.length < head + 4 + length) return
      if (!text.startsWith("HTTP/1.1 200 ") || !text.includes("\"maxUploadBytes\":")) {
        return void reject(new Error(`not the account:\n${text}`))
      }
      text = ""
      go()
    })
    socket.on("error", reject)
    socket.on("close", () => reject(new Error("the connection was closed")))
    go()
  })
}

const all = async (count: number) => {
  let left = count
  await Promise.all(Array.from({ length: connections }, () => drive(() => left-- > 0)))
}

await all(Math.ceil(requests / 10))
const began = performance.now()
await all(requests)
const wallS = (performance.now() - began) / 1000
console.log(JSON.stringify({ wallS, perSecond: Math.round(requests / wallS) }))
