/**
 * Sends requests over kept-alive connections, one after another on each. Raw sockets, so that the server is the bottleneck and
 * not the client. Every response must be a 200 with a `Content-Length`.
 */
import { once } from "node:events"
import { connect } from "node:net"

/** Ends when `next` has no more requests; `take` gets the body of each response. */
export const drive = async (
  { hostname, port }: URL,
  connections: number,
  next: () => string | undefined,
  take: (body: string) => void
): Promise<void> => {
  const one = async () => {
    const socket = connect(Number(port), hostname)
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
      socket.on("close", () => reject(new Error("the connection was closed")))
      go()
    })
  }
  await Promise.all(Array.from({ length: connections }, one))
}
