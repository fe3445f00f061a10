import { createServer, type Server, STATUS_CODES } from "node:http"
import type { Duplex } from "node:stream"
import * as Refusal from "./refusal.ts"

/** Node would answer what it cannot parse without a body; the contract has an envelope for every error. */
const answerClientError = (error: NodeJS.ErrnoException, socket: Duplex): void => {
  const refusal = Refusal.ofProtocol(error.code)
  if (refusal === undefined || !socket.writable) {
    socket.destroy(error)
    return
  }
  const body = Refusal.toEnvelope(refusal)
  socket.end(
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\n` +
      "Content-Type: application/json; charset=utf-8\r\n" +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
  )
}

/** Node's server, with the timeouts that suit long transfers. */
export const make = (idleTimeoutMillis: number): Server => {
  const server = createServer({
    // The whole body need not come within a fixed time: a slow upload is no attack as long as bytes come.
    requestTimeout: 0,
    headersTimeout: 60_000
  })
  server.timeout = idleTimeoutMillis
  server.on("clientError", answerClientError)
  return server
}
