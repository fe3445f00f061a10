import type { Socket } from "node:net"

/** How long to read on, in milliseconds, after the host has stopped reading. */
const GRACE_MILLIS = 150

type Callback = (error?: Error | null) => void

const hasStoppedReading = (error: Error | null | undefined): error is Error =>
  error !== null && error !== undefined && "code" in error && (error.code === "EPIPE" || error.code === "ECONNRESET")

/**
 * Delays the failure of a write, so that the answer that explains it is read first. A host that refuses an upload early answers
 * and closes the connection while we still send; a socket that fails at once would discard the answer, and the caller would
 * see a broken pipe in place of the refusal.
 */
export const awaitEarlyResponse = (socket: Socket): void => {
  const later = (callback: Callback): Callback => (error) => {
    if (!hasStoppedReading(error) || socket.destroyed) return callback(error)
    let isDone = false
    const done = () => {
      if (isDone) return
      isDone = true
      clearTimeout(timer)
      socket.off("close", done)
      callback(error)
    }
    // On a busy machine the time may be over before the socket was read even once; the second turn comes after that.
    // @effect-diagnostics-next-line globalTimers:off - a callback of Node, outside of every fiber
    const timer = setTimeout(() => setImmediate(() => setImmediate(done)), GRACE_MILLIS)
    socket.once("close", done)
  }
  const write = socket._write.bind(socket)
  socket._write = (chunk, encoding, callback) => write(chunk, encoding, later(callback))
  const writev = socket._writev?.bind(socket)
  if (writev !== undefined && writev !== null) {
    socket._writev = (chunks, callback) => writev(chunks, later(callback))
  }
}
