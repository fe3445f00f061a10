/**
 * Sends the bytes of a blob over a connection; the download handler calls it.
 *
 * It writes to Node's response itself. A download counts when its last byte was handed to the system, and Effect's own writers
 * do not report that: `stream` ends without waiting for it, and a `raw` readable learns of its end one empty read after the
 * last bytes were sent, when the receiver may already ask again.
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { ServerResponse } from "node:http"
import type { Reader } from "../../Blobs.ts"
import { bytesSent } from "../node/socket.ts"
import { MemoryBudget } from "../shared/memoryBudget.ts"

export interface Range {
  readonly start: number
  /** Exclusive. */
  readonly end: number
}

/**
 * `whole`: the last byte of the range was handed to the system. `unsent`: not one byte of the response was. `unreadable`: the
 * same, and the connection can carry another response.
 */
export type Outcome = "whole" | "broken" | "unsent" | "unreadable"

export interface Transfer {
  /** Never rejects. */
  readonly done: Promise<Outcome>
  /** Closes the connection, unless the last byte was handed over already. */
  readonly abort: () => void
  /** Closes the connection when everything before this position was sent; at once where it is further. */
  readonly stopAt: (position: number) => void
  /** Where what it has yet to send begins; the last byte counts to that until it was handed over. */
  readonly position: () => number
  /** Bytes that the system has taken, the headers included. */
  readonly sent: () => number
}

/** Bytes per read for a fast receiver; more is no faster. */
const LARGE = 512 * 1024
/** Bytes per read for a slow receiver, or when the budget is used up. */
const SMALL = 8 * 1024
/** Milliseconds in which the system takes a write for a fast receiver. */
const SLOW = 250

/** The single buffer of a transfer. It is large only while the receiver is fast. */
interface TransferBuffer {
  /** Memory for at most `most` bytes. Its previous content must have been written. */
  readonly next: (most: number) => Buffer
  /** Hands bytes to the system, and waits until it has taken them. */
  readonly write: (response: ServerResponse, bytes: Buffer) => Promise<void>
  readonly drop: () => void
}

const makeBuffer = (budget: MemoryBudget, now: () => number): TransferBuffer => {
  let buffer = Buffer.alloc(0)
  let taken = 0
  let size = LARGE
  const drop = () => {
    budget.release(taken)
    taken = 0
    buffer = Buffer.alloc(0)
  }
  return {
    drop,
    next: (most) => {
      const wanted = Math.min(size, most)
      if (buffer.length < wanted) {
        const share = wanted > SMALL ? budget.takeShare(wanted, 2 * SMALL) : 0
        if (share > buffer.length) {
          drop()
          taken = share
          buffer = Buffer.allocUnsafeSlow(share)
        } else {
          budget.release(share)
          if (buffer.length < Math.min(wanted, SMALL)) buffer = Buffer.allocUnsafeSlow(Math.min(wanted, SMALL))
        }
      }
      return buffer.subarray(0, wanted)
    },
    write: async (response, bytes) => {
      const began = now()
      await new Promise((resolve) => response.write(bytes, resolve))
      const isSlow = now() - began > SLOW
      size = isSlow ? SMALL : LARGE
      if (isSlow && buffer.length > SMALL) drop()
    }
  }
}

/** Makes a buffer for each transfer, from the server's budget. */
export const makeBuffers = Effect.map(
  Effect.all([MemoryBudget, Clock.Clock]),
  ([budget, clock]) => () => makeBuffer(budget, () => clock.currentTimeMillisUnsafe())
)

/**
 * Starts to send a range of a blob. The last byte waits for `beforeLast`; if that fails, the connection is closed. If the blob
 * cannot be read, `onUnreadable` is called; the connection is closed then too, unless nothing was sent yet.
 */
export const start = (
  buffer: TransferBuffer,
  request: HttpServerRequest,
  reader: Reader,
  { end, start }: Range,
  status: number,
  headers: Readonly<Record<string, string>>,
  beforeLast: () => Promise<void>,
  onUnreadable: (cause: unknown) => void
): Transfer => {
  // The server only supports HTTP/1.
  const response = NodeHttpServerRequest.toServerResponse(request) as ServerResponse
  const { socket } = response.req
  const { promise, resolve } = Promise.withResolvers<Outcome>()
  let begun = false
  let over = false
  let position = start
  let stop = end
  const before = bytesSent(socket)
  let sent = 0
  const measure = () => {
    // What is left in the queue of a socket that was destroyed is counted as sent.
    if (!over && !socket.destroyed) sent = bytesSent(socket) - before
    return sent
  }
  const settleAs = (outcome: Outcome) => {
    if (over) return
    measure()
    over = true
    response.off("finish", onFinish)
    response.off("close", onClose)
    resolve(outcome)
  }
  const settle = (whole: boolean) => settleAs(whole ? "whole" : begun ? "broken" : "unsent")
  // It is also called when the socket was destroyed, and pending bytes were dropped.
  const onFinish = () => settle(!socket.destroyed)
  const onClose = () => settle(false)
  response.once("finish", onFinish)
  response.once("close", onClose)

  /** Whether all bytes were handed to the system, including the end. */
  const isOut = () =>
    response.writableEnded && response.socket !== null && response.writableLength === 0 && socket.errored === null &&
    !socket.destroyed

  const abort = () => {
    if (over) return
    if (isOut()) return settle(true)
    settle(false)
    response.destroy()
  }

  const fill = async (buffer: Uint8Array, at: number) => {
    try {
      const read = await reader.read(buffer, at)
      if (read < buffer.length) throw new Error("the blob is shorter than the catalog says")
    } catch (cause) {
      // The reader is closed with the transfer, which makes its pending reads fail.
      if (!over) onUnreadable(cause)
      if (!begun) settleAs("unreadable")
      throw cause
    }
  }

  const pump = async () => {
    while (position < end) {
      const read = buffer.next(stop - position)
      await fill(read, position)
      if (over) return
      // It may have to stop earlier by now.
      const bytes = read.subarray(0, stop - position)
      position += bytes.length
      if (!begun) response.writeHead(status, headers)
      begun = true
      if (position < end) {
        await buffer.write(response, bytes)
        if (position >= stop) return abort()
        continue
      }
      // A receiver that may resume needs the headers, which name the lease, and all bytes but the last one.
      if (bytes.length === 1) response.flushHeaders()
      else await buffer.write(response, bytes.subarray(0, -1))
      if (over) return
      await beforeLast()
      if (over) return
      response.end(bytes.subarray(-1))
      if (isOut()) settle(true)
    }
  }
  if (response.destroyed || socket.destroyed) settle(false)
  else pump().catch(abort).finally(buffer.drop)
  return {
    done: promise,
    abort,
    stopAt: (at) => {
      stop = Math.min(stop, at)
      if (position >= stop) abort()
    },
    position: () => Math.min(position, end - 1),
    sent: measure
  }
}
