/** Time limits of a connection, by what it is doing; `connections.ts` has the rules. */
import type { Server } from "node:http"
import type { Socket } from "node:net"
import { bytesSent } from "../node/socket.ts"
import { type Connection, type Exchange, hasResponse, type Progress, refuse } from "./connection.ts"
import * as Refusal from "./refusal.ts"

/** Milliseconds that a closing connection has when the server stops. */
const STOPPING_DRAIN = 1000

export interface Limits {
  /** Milliseconds that the headers of a request may take. */
  readonly headers: number
  /** Milliseconds that a connection may wait for its next request. */
  readonly keepAlive: number
  /** Minimum average rate of a transfer in bytes per second; 0: any. */
  readonly rate: number
  /** Milliseconds that a transfer that was fast enough may stop. */
  readonly patience: number
  /** Milliseconds in which a closing connection is read and its bytes discarded. */
  readonly drain: number
  /** The most bytes to discard so. */
  readonly drainBytes: number
}

const movedBy = (socket: Socket): number => socket.bytesRead + bytesSent(socket)

/** The progress of a new connection. */
export const start = (socket: Socket): Progress => ({
  phase: undefined,
  since: 0,
  from: 0,
  credit: 0,
  moved: movedBy(socket)
})

/** Whether the other side is awaited: a body that does not arrive, or a response that is not taken. */
const waits = ({ request, response }: Exchange, socket: Socket): boolean =>
  (!request.complete && request.readableLength === 0 && !response.headersSent) || socket.writableLength > 0

const phaseOf = ({ closing, exchange }: Connection): NonNullable<Progress["phase"]> =>
  closing
    ? "closing"
    : exchange === undefined
    ? "idle"
    : !hasResponse(exchange)
    ? exchange
    : exchange.request.complete || exchange.request.destroyed
    ? "idle"
    : "drain"

/** Closes a connection whose time is over. */
export const look = (connection: Connection, server: Server, limits: Limits, now: number, elapsed: number): void => {
  const { progress, socket } = connection
  const before = progress.moved
  progress.moved = movedBy(socket)
  const phase = phaseOf(connection)
  const fullCredit = limits.rate * limits.patience / 1000
  if (phase !== progress.phase) {
    progress.phase = phase
    progress.since = now
    progress.from = socket.bytesRead
    progress.credit = fullCredit
    return
  }
  const lasted = now - progress.since
  if (phase === "idle") {
    if (lasted >= limits.headers + limits.keepAlive || !server.listening) socket.destroy()
  } else if (phase === "drain" || phase === "closing") {
    const drain = server.listening ? limits.drain : Math.min(limits.drain, STOPPING_DRAIN)
    if (lasted >= drain || socket.bytesRead - progress.from > limits.drainBytes) socket.destroy()
  } else if (limits.rate > 0 && waits(phase, socket)) {
    const credit = progress.credit + progress.moved - before - limits.rate * elapsed / 1000
    progress.credit = Math.min(credit, fullCredit)
    if (credit > 0) return
    if (phase.response.headersSent) socket.destroy()
    else refuse(connection, Refusal.tooSlow)
  }
}
