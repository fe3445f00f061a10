/**
 * Handing the bytes of a blob over to a connection.
 *
 * This writes to Node's response itself. A download counts when its last byte is handed over, and Effect's own writers
 * do not say when that was: `stream` ends without waiting for it, and a `raw` readable learns of its end one empty read
 * after the last bytes went out, in which the receiver may already ask again.
 */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { ServerResponse } from "node:http"
import type { Reader } from "../Blobs.ts"

export interface Range {
  readonly start: number
  /** Exclusive. */
  readonly end: number
}

const READ_BYTES = 1024 * 1024

/**
 * Sends a range of a blob. The last byte waits for `beforeLast`; where that fails, it is not sent. Succeeds with whether all of it was handed over; `false` is a broken connection, or bytes
 * that could not be read.
 */
export const send = (
  request: HttpServerRequest,
  reader: Reader,
  { end, start }: Range,
  status: number,
  headers: Readonly<Record<string, string>>,
  beforeLast: () => Promise<void>
): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    // The server speaks HTTP/1 only.
    const response = NodeHttpServerRequest.toServerResponse(request) as ServerResponse
    if (response.destroyed) return resume(Effect.succeed(false))
    let done = false
    const settle = (whole: boolean) => {
      if (done) return
      done = true
      response.off("finish", onFinish)
      response.off("close", onClose)
      resume(Effect.succeed(whole))
    }
    const onFinish = () => settle(true)
    const onClose = () => settle(false)
    response.once("finish", onFinish)
    response.once("close", onClose)

    const pump = async () => {
      const size = Math.min(READ_BYTES, end - start)
      // One is read into while the other is on its way to the socket.
      const buffers = [Buffer.allocUnsafe(size), ...(end - start > size ? [Buffer.allocUnsafe(size)] : [])]
      let flushed: Promise<unknown> = Promise.resolve()
      response.writeHead(status, headers)
      for (let position = start, turn = 0; position < end; turn++) {
        const buffer = buffers[turn % buffers.length]!.subarray(0, Math.min(size, end - position))
        const read = await reader.read(buffer, position)
        if (read < buffer.length) throw new Error("the blob is shorter than the catalog says")
        position += read
        await flushed
        if (done) return
        if (position < end) {
          flushed = new Promise((resolve) => response.write(buffer, resolve))
          continue
        }
        // Whoever may resume must have the headers, which name the lease, and all bytes but the last one.
        if (read === 1) response.flushHeaders()
        else await new Promise((resolve) => response.write(buffer.subarray(0, -1), resolve))
        await beforeLast()
        if (done) return
        // Ending with the last byte makes `finish` come as soon as it is handed over.
        response.end(buffer.subarray(-1))
      }
    }
    pump().catch(() => {
      response.destroy()
      settle(false)
    })

    return Effect.sync(() => {
      done = true
      if (!response.writableFinished) response.destroy()
    })
  })
