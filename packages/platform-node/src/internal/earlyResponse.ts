import type { Socket } from "node:net"

/** How long to continue to read, in milliseconds, after the host has stopped reading. */
const GRACE_MILLIS = 150

type Callback = (error?: Error | null) => void

const hasStoppedReading = (error: Error | null | undefined): error is Error =>
  error !== null && error !== undefined && "code" in error && (error.code === "EPIPE" || error.code === "ECONNRESET")

/**
 * Delays the failure of a write, so that the response that explains it is read first. A host that refuses an upload
 * early responds and closes the connection while the client still sends; a socket that fails at once would discard the
 * response, and the caller would see a broken pipe instead of the refusal.
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
    // On a busy machine the time may be over before the socket was read even once; the second turn comes after that
    // read.
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
