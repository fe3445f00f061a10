/** Serves a page with the bundle, on its own origin. */
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

export const servePage = async (code: string) => {
  const page = `<!doctype html><title>fileio</title><script type="module" src="/app.js"></script>`
  const server = createServer((request, response) => {
    const isCode = request.url === "/app.js"
    response.writeHead(200, { "content-type": isCode ? "text/javascript" : "text/html; charset=utf-8" })
    response.end(isCode ? code : page)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, "close")
    }
  }
}
