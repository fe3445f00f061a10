/** A TCP proxy that cuts connections after a number of bytes from the client. */
import { Effect, type Scope } from "effect"
import * as Net from "node:net"

interface CuttingProxy {
  readonly url: string
  /** Connections that were cut. */
  readonly cuts: () => number
  /** The first lines of the requests, in order. */
  readonly requests: () => ReadonlyArray<string>
  /** Bytes that came from the client. */
  readonly bytes: () => number
}

/**
 * `next` returns after how many bytes of the client a new connection is cut; `undefined`: never. Earlier bytes reach the
 * target, whose responses are lost.
 */
export const cuttingProxy = (
  target: string,
  next: () => number | undefined
): Effect.Effect<CuttingProxy, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { hostname, port } = new URL(target)
    const sockets = new Set<Net.Socket>()
    const requests: Array<string> = []
    let cuts = 0
    let received = 0
    const server = Net.createServer((client) => {
      const upstream = Net.connect({ host: hostname, port: Number(port) })
      let left = next()
      for (const socket of [client, upstream]) {
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => sockets.delete(socket))
      }
      client.on("data", (bytes: Buffer) => {
        received += bytes.length
        const line = /^(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) \S+/.exec(bytes.subarray(0, 300).toString("latin1"))
        if (line !== null) requests.push(line[0])
        if (left === undefined || bytes.length < left) {
          if (left !== undefined) left -= bytes.length
          if (!upstream.write(bytes)) {
            client.pause()
            upstream.once("drain", () => client.resume())
          }
          return
        }
        cuts++
        // The bytes before the cut arrive; nothing comes back.
        upstream.end(bytes.subarray(0, left))
        client.resetAndDestroy()
      })
      upstream.on("data", (bytes: Buffer) => void (client.destroyed || client.write(bytes)))
      client.on("end", () => upstream.end())
      upstream.on("end", () => client.end())
      upstream.on("close", () => client.destroy())
    })
    yield* Effect.acquireRelease(
      Effect.promise(() => new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))),
      () =>
        Effect.promise(() =>
          new Promise<void>((resolve) => {
            for (const socket of sockets) socket.destroy()
            server.close(() => resolve())
          })
        )
    )
    const { port: own } = server.address() as Net.AddressInfo
    return { url: `http://127.0.0.1:${own}`, cuts: () => cuts, requests: () => requests, bytes: () => received }
  })
