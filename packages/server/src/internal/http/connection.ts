/** One connection: its requests, its progress, and how it is refused and closed. */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import * as Messages from "../node/messages.ts"
import type { MemoryBudget } from "../shared/memoryBudget.ts"
import * as Refusal from "./refusal.ts"

/** Overhead of a request in bytes, besides its header fields. */
const REQUEST_BYTES = 4096

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** A request and its response. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly handle: Handler
}

/** The progress of a connection; `timeLimits.ts` checks it. */
export interface Progress {
  /** What it was doing at the last check, since when, and the bytes received until then. */
  phase: Exchange | "idle" | "drain" | "closing" | undefined
  since: number
  from: number
  /** Bytes sent and received. */
  moved: number
  /** Bytes by which the transfer is ahead of the minimum rate. */
  credit: number
}

/** An open connection. */
export interface Connection {
  readonly socket: Socket
  /** The budget for pipelined requests. */
  readonly budget: MemoryBudget
  /** The current request, or the last one. */
  exchange: Exchange | undefined
  /** Pipelined requests. */
  readonly waiting: Array<Exchange>
  /** The error response to invalid bytes after the last request. */
  refusal: Refusal.Refusal | undefined
  /** Nothing is sent any more. */
  closing: boolean
  readonly progress: Progress
}

export const hasResponse = ({ response }: Exchange): boolean => response.writableFinished || response.destroyed

/** Whether nothing is pending, so that the next request can be handled, or refused, at once. */
export const isFree = ({ exchange, waiting }: Connection): boolean =>
  waiting.length === 0 && (exchange === undefined || hasResponse(exchange))

/** Approximate memory of a pipelined request, in bytes. */
export const bytesOf = ({ request }: Exchange): number =>
  request.rawHeaders.reduce((sum, text) => sum + text.length, REQUEST_BYTES + request.url!.length)

/** Writes an envelope if there is no response object to write it with. */
const writeRefusal = (socket: Duplex, refusal: Refusal.Refusal): void => {
  const body = Refusal.toEnvelope(refusal)
  const headers = Object.entries(refusal.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`).join("")
  socket.write(
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\n${headers}` +
      "Content-Type: application/json; charset=utf-8\r\nCache-Control: no-store\r\n" +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
  )
}

/** Reads and discards the rest of a body. */
export const discard = (request: IncomingMessage): void => {
  if (request.complete || request.destroyed) return
  request.removeAllListeners("readable")
  // Without it a stream stops flowing when its last listener for "readable" is removed, as that of a handler is later.
  request.on("data", () => {})
  request.resume()
}

/** Ends a request whose connection gets another response; its handler sees a disconnected client. */
const abandon = (exchange: Exchange): void => {
  if (hasResponse(exchange)) return
  const { request, response } = exchange
  if (request instanceof Messages.Request) request.keepRest()
  if (response.socket !== null) response.detachSocket(response.socket)
  response.destroy()
  response.emit("close")
}

/** Closes gracefully: sends nothing more, and discards incoming bytes until the other side has closed too. */
export const close = (connection: Connection): void => {
  connection.closing = true
  for (const exchange of [connection.exchange, ...connection.waiting]) {
    if (exchange !== undefined) discard(exchange.request)
  }
  connection.socket.end()
  connection.socket.resume()
}

/** Drops pipelined requests. */
export const forget = (connection: Connection): void => {
  for (const exchange of connection.waiting.splice(0)) connection.budget.release(bytesOf(exchange))
}

/** Sends an error in place of all pending responses, and closes. */
export const refuse = (connection: Connection, refusal: Refusal.Refusal): void => {
  for (const exchange of [connection.exchange, ...connection.waiting]) {
    if (exchange !== undefined) abandon(exchange)
  }
  forget(connection)
  writeRefusal(connection.socket, refusal)
  close(connection)
}
