/**
 * Sends the bytes of a blob over a connection; the download handler calls it.
 *
 * This writes to Node's response itself. A download counts when its last byte was handed to the system, and Effect's own
 * writers do not say when that was: `stream` ends without waiting for it, and a `raw` readable learns of its end one empty read
 * after the last bytes went out, in which the receiver may already ask again.
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { ServerResponse } from "node:http"
import type { Reader } from "../../Blobs.ts"

export interface Range {
  readonly start: number
  /** Exclusive. */
  readonly end: number
}

/** `whole`: the last byte of the range was handed to the system. `unsent`: not one byte of the answer was. */
export type Outcome = "whole" | "broken" | "unsent"

export interface Transfer {
  /** It never rejects. */
  readonly done: Promise<Outcome>
  /** Closes the connection, unless the last byte was handed over before. */
  readonly abort: () => void
}

const READ_BYTES = 1024 * 1024

/**
 * Begins to send a range of a blob. The last byte waits for `beforeLast`; where that fails, the connection is closed. So it is where
 * the blob cannot be read, which calls `onUnreadable`.
 */
export const start = (
  request: HttpServerRequest,
  reader: Reader,
  { end, start }: Range,
  status: number,
  headers: Readonly<Record<string, string>>,
  beforeLast: () => Promise<void>,
  onUnreadable: (cause: unknown) => void
): Transfer => {
  // The server speaks HTTP/1 only.
  const response = NodeHttpServerRequest.toServerResponse(request) as ServerResponse
  const { socket } = response.req
  const { promise, resolve } = Promise.withResolvers<Outcome>()
  let begun = false
  let over = false
  const settle = (whole: boolean) => {
    if (over) return
    over = true
    response.off("finish", onFinish)
    response.off("close", onClose)
    resolve(whole ? "whole" : begun ? "broken" : "unsent")
  }
  // It also comes when the socket was destroyed, and what it had yet to write was dropped.
  const onFinish = () => settle(!socket.destroyed)
  const onClose = () => settle(false)
  response.once("finish", onFinish)
  response.once("close", onClose)

  /** Whether all that was written was handed to the system, the end included. */
  const isOut = () =>
    response.writableEnded && response.socket !== null && response.writableLength === 0 && socket.errored === null &&
    !socket.destroyed

  const abort = () => {
    if (over) return
    if (isOut()) return settle(true)
    settle(false)
    response.destroy()
  }

  const fill = async (buffer: Uint8Array, position: number) => {
    try {
      const read = await reader.read(buffer, position)
      if (read < buffer.length) throw new Error("the blob is shorter than the catalog says")
    } catch (cause) {
      // The reader is closed with the transfer, which fails what it still reads.
      if (!over) onUnreadable(cause)
      throw cause
    }
  }

  const pump = async () => {
    const size = Math.min(READ_BYTES, end - start)
    // One is read into while the other is on its way to the socket.
    const buffers = [Buffer.allocUnsafe(size), ...(end - start > size ? [Buffer.allocUnsafe(size)] : [])]
    let flushed: Promise<unknown> = Promise.resolve()
    response.writeHead(status, headers)
    for (let position = start, turn = 0; position < end; turn++) {
      const buffer = buffers[turn % buffers.length]!.subarray(0, Math.min(size, end - position))
      await fill(buffer, position)
      position += buffer.length
      await flushed
      if (over) return
      begun = true
      if (position < end) {
        flushed = new Promise((resolve) => response.write(buffer, resolve))
        continue
      }
      // Who may resume must have the headers, which name the lease, and all bytes but the last one.
      if (buffer.length === 1) response.flushHeaders()
      else await new Promise((resolve) => response.write(buffer.subarray(0, -1), resolve))
      if (over) return
      await beforeLast()
      if (over) return
      response.end(buffer.subarray(-1))
      if (isOut()) settle(true)
    }
  }
  if (response.destroyed || socket.destroyed) settle(false)
  else pump().catch(abort)
  return { done: promise, abort }
}
