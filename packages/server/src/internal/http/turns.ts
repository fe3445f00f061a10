/** Handles a connection's requests one after another, even if the client pipelines them. */
import type { IncomingMessage } from "node:http"
import { bytesOf, type Connection, discard, type Exchange, isFree, refuse } from "./connection.ts"

/** The most pipelined requests of a connection. */
const MAX_WAITING = 256

const hasBody = ({ headers }: IncomingMessage): boolean =>
  headers["transfer-encoding"] !== undefined ||
  (headers["content-length"] !== undefined && headers["content-length"] !== "0")

const offersUpgrade = ({ headers }: IncomingMessage): boolean =>
  headers.upgrade !== undefined && /upgrade/i.test(headers.connection ?? "")

const begin = (connection: Connection, exchange: Exchange): void => {
  const { request, response } = exchange
  connection.exchange = exchange
  connection.progress.phase = undefined
  // A listener for each response would cost as much as a small response.
  if (hasBody(request)) response.once("finish", () => discard(request))
  exchange.handle(request, response)
}

const next = (connection: Connection): void => {
  if (connection.closing || connection.socket.destroyed) return
  const exchange = connection.waiting.shift()
  if (exchange !== undefined) {
    connection.budget.release(bytesOf(exchange))
    begin(connection, exchange)
  } else if (connection.refusal !== undefined) return refuse(connection, connection.refusal)
  if (connection.waiting.length > 0 || connection.refusal !== undefined) whenResponded(connection)
  else connection.socket.resume()
}

/**
 * Handles the next pipelined request after the current response, in a later turn of the event loop: while the system takes
 * responses at once, a connection would otherwise get all of its responses before another gets one.
 */
export const whenResponded = (connection: Connection): void => {
  connection.exchange!.response.once("close", () => setImmediate(next, connection))
}

/** Handles a request after the previous ones. */
export const take = (connection: Connection, exchange: Exchange): void => {
  const { request, response } = exchange
  if (connection.closing) return discard(request)
  // Node drops bytes right behind a request that offers an upgrade, so nothing may come behind it.
  if (offersUpgrade(request)) response.shouldKeepAlive = false
  if (isFree(connection)) return begin(connection, exchange)
  // Responses out of order would need memory, and claim a download that may never be read.
  if (connection.waiting.length >= MAX_WAITING || !connection.budget.tryTake(bytesOf(exchange))) {
    return void connection.socket.destroy()
  }
  if (connection.waiting.length === 0) {
    if (connection.refusal === undefined) whenResponded(connection)
    // Node starts reading again at the end of each request.
    setImmediate(() => {
      if (connection.waiting.length > 0) connection.socket.pause()
    })
  }
  connection.waiting.push(exchange)
}
