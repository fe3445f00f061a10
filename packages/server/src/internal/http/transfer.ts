/**
 * Sends the bytes of a blob over a connection; the download handler calls it.
 *
 * This writes to Node's response itself. A download counts when its last byte was handed to the system, and Effect's own
 * writers do not say when that was: `stream` ends without waiting for it, and a `raw` readable learns of its end one empty read
 * after the last bytes went out, in which the receiver may already ask again.
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { ServerResponse } from "node:http"
import type { Reader } from "../../Blobs.ts"
import { MemoryBudget } from "../shared/memoryBudget.ts"

export interface Range {
  readonly start: number
  /** Exclusive. */
  readonly end: number
}

/**
 * `whole`: the last byte of the range was handed to the system. `unsent`: not one byte of the answer was. `unreadable`: the same,
 * and the connection waits for another answer.
 */
export type Outcome = "whole" | "broken" | "unsent" | "unreadable"

export interface Transfer {
  /** It never rejects. */
  readonly done: Promise<Outcome>
  /** Closes the connection, unless the last byte was handed over before. */
  readonly abort: () => void
}

/** Bytes that are read at a time for a receiver that takes them; more is no faster. */
const LARGE = 512 * 1024
/** Bytes that are read at a time for a receiver that lets them wait, or where the budget is used up. */
const SMALL = 8 * 1024
/** Milliseconds within which the system takes what is written for a receiver that is fast. */
const SLOW = 250

/** The one buffer of a transfer. It is large only as long as the receiver takes what is written. */
export interface TransferBuffer {
  /** Memory for at most `most` bytes. What was there before has been written. */
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

/** Makes a buffer for each transfer, from the budget of the server. */
export const makeBuffers = Effect.map(
  Effect.all([MemoryBudget, Clock.Clock]),
  ([budget, clock]) => () => makeBuffer(budget, () => clock.currentTimeMillisUnsafe())
)

/**
 * Begins to send a range of a blob. The last byte waits for `beforeLast`; where that fails, the connection is closed. A blob that
 * cannot be read calls `onUnreadable`; the connection is closed then too, unless nothing was sent yet.
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
  // The server speaks HTTP/1 only.
  const response = NodeHttpServerRequest.toServerResponse(request) as ServerResponse
  const { socket } = response.req
  const { promise, resolve } = Promise.withResolvers<Outcome>()
  let begun = false
  let over = false
  const settleAs = (outcome: Outcome) => {
    if (over) return
    over = true
    response.off("finish", onFinish)
    response.off("close", onClose)
    resolve(outcome)
  }
  const settle = (whole: boolean) => settleAs(whole ? "whole" : begun ? "broken" : "unsent")
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
      if (!begun) settleAs("unreadable")
      throw cause
    }
  }

  const pump = async () => {
    for (let position = start; position < end;) {
      const bytes = buffer.next(end - position)
      await fill(bytes, position)
      position += bytes.length
      if (over) return
      if (!begun) response.writeHead(status, headers)
      begun = true
      if (position < end) {
        await buffer.write(response, bytes)
        continue
      }
      // Who may resume must have the headers, which name the lease, and all bytes but the last one.
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
  return { done: promise, abort }
}
