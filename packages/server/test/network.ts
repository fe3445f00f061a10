import { Effect } from "effect"
import * as Net from "node:net"

/** A network between browser and server that can go away: connections break, and new ones are refused. */
export const network = (url: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const { port } = new URL(url)
      const sockets = new Set<Net.Socket>()
      let isAway = false
      let left = Infinity
      let refused: (() => void) | undefined
      const cut = () => {
        isAway = true
        left = Infinity
        for (const socket of sockets) socket.destroy()
      }
      const server = Net.createServer((near) => {
        if (isAway) {
          near.destroy()
          refused?.()
          return
        }
        const far = Net.connect(Number(port), "127.0.0.1")
        for (const [one, other] of [[near, far], [far, near]] as const) {
          sockets.add(one)
          one.on("error", () => other.destroy()).on("close", () => {
            sockets.delete(one)
            other.destroy()
          })
          one.on("data", ({ length }) => {
            left -= length
            if (left <= 0) cut()
          })
          one.pipe(other)
        }
      })
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
      return {
        url: `http://127.0.0.1:${(server.address() as Net.AddressInfo).port}`,
        /** Goes away after this number of further bytes; waits until the browser has tried in vain. */
        away: (bytes = 0) =>
          new Promise<void>((resolve) => {
            refused = resolve
            if (bytes > 0) left = bytes
            else cut()
          }),
        back: () => {
          isAway = false
        },
        close: () => {
          for (const socket of sockets) socket.destroy()
          server.close()
        }
      }
    }),
    ({ close }) => Effect.sync(close)
  )
