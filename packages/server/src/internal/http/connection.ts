/** One connection: the requests on it, what it is doing, and how it is refused and closed. */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http"
import type { Socket } from "node:net"
import type { Duplex } from "node:stream"
import type { MemoryBudget } from "../shared/memoryBudget.ts"
import * as Refusal from "./refusal.ts"

/** Bytes that a request takes beside its header fields. */
const REQUEST_BYTES = 4096

export type Handler = (request: IncomingMessage, response: ServerResponse) => void

/** A request and its response. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly handle: Handler
}

/** How far a connection has come with what it is doing; `timeLimits.ts` looks at it. */
export interface Progress {
  /** What it was doing when it was last looked at, since when, and the bytes that had come until then. */
  phase: Exchange | "idle" | "drain" | "closing" | undefined
  since: number
  from: number
  /** Bytes that had come or gone. */
  bytes: number
  /** Bytes that the system had yet to take; its socket has no public word for them. */
  queued: number
  /** Bytes by which the transfer is ahead of the slowest that is allowed. */
  credit: number
}

/** An open connection. */
export interface Connection {
  readonly socket: Socket
  /** What the requests that wait for their turn take memory from. */
  readonly budget: MemoryBudget
  /** The request that is being handled, or was the last one. */
  exchange: Exchange | undefined
  /** Requests that came ahead of their turn. */
  readonly waiting: Array<Exchange>
  /** Sent instead of an answer to what came after the last request, which was no HTTP. */
  refusal: Refusal.Refusal | undefined
  /** Nothing is answered any more. */
  closing: boolean
  readonly progress: Progress
}

export const isAnswered = ({ response }: Exchange): boolean => response.writableFinished || response.destroyed

/** About as many bytes as a request takes while it waits for its turn. */
export const bytesOf = ({ request }: Exchange): number =>
  request.rawHeaders.reduce((sum, text) => sum + text.length, REQUEST_BYTES + request.url!.length)

/** Writes an envelope where there is no response to write it with. */
const writeRefusal = (socket: Duplex, refusal: Refusal.Refusal): void => {
  const body = Refusal.toEnvelope(refusal)
  const headers = Object.entries(refusal.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`).join("")
  socket.write(
    `HTTP/1.1 ${refusal.status} ${STATUS_CODES[refusal.status]}\r\n${headers}` +
      "Content-Type: application/json; charset=utf-8\r\nCache-Control: no-store\r\n" +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
  )
}

/** Reads what is left of a body and forgets it, whoever read it before. */
export const discard = (request: IncomingMessage): void => {
  if (request.complete || request.destroyed) return
  request.removeAllListeners("readable")
  // A stream without it stops flowing when its last listener for "readable" goes, as that of a handler does later on.
  request.on("data", () => {})
  request.resume()
}

/** Ends a request whose connection gets another answer than its own; its handler sees a client that has gone. */
const abandon = (exchange: Exchange): void => {
  if (isAnswered(exchange)) return
  const { response } = exchange
  if (response.socket !== null) response.detachSocket(response.socket)
  response.destroy()
  response.emit("close")
}

/** Says goodbye: nothing more is sent, and what still comes is discarded until the other side has closed too. */
export const close = (connection: Connection): void => {
  connection.closing = true
  for (const exchange of [connection.exchange, ...connection.waiting]) {
    if (exchange !== undefined) discard(exchange.request)
  }
  connection.socket.end()
  connection.socket.resume()
}

/** Forgets the requests that wait for their turn. */
export const forget = (connection: Connection): void => {
  for (const exchange of connection.waiting.splice(0)) connection.budget.release(bytesOf(exchange))
}

/** Answers with a refusal in place of every answer that is due, and closes. */
export const refuse = (connection: Connection, refusal: Refusal.Refusal): void => {
  for (const exchange of [connection.exchange, ...connection.waiting]) {
    if (exchange !== undefined) abandon(exchange)
  }
  forget(connection)
  writeRefusal(connection.socket, refusal)
  close(connection)
}
