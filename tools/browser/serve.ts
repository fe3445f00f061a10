/** Serves a page with the bundle, on its own origin. */
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { Bundle } from "./bundle.ts"

export const servePage = async ({ entry, files }: Bundle, body = "") => {
  const page = `<!doctype html><title>fileio</title>${body}<script type="module" src="${entry}"></script>`
  const server = createServer((request, response) => {
    const code = files.get(request.url ?? "")
    response.writeHead(200, { "content-type": code === undefined ? "text/html; charset=utf-8" : "text/javascript" })
    response.end(code ?? page)
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
