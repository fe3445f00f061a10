import type { Socket } from "node:net"

/** How long an answer may still be heard after the other side has stopped listening. */
const GRACE_MILLIS = 150

type Callback = (error?: Error | null) => void

const isDeaf = (error: Error | null | undefined): error is Error =>
  error !== null && error !== undefined && "code" in error && (error.code === "EPIPE" || error.code === "ECONNRESET")

/**
 * A host that refuses an upload early answers and closes the connection, while we are still sending. Then a write fails,
 * though the answer has come already: a socket that is torn down at once would throw it away, and the caller would see a
 * broken pipe in place of the refusal. So a write that fails because nobody listens any more is told a little later.
 */
export const hearOut = (socket: Socket): void => {
  const later = (callback: Callback): Callback => (error) => {
    if (!isDeaf(error) || socket.destroyed) return callback(error)
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
