/** Properties of Node's sockets without a public name. */
import type { Socket } from "node:net"

/** Bytes that the system has not yet taken of the last write. */
const writeQueueSize = (socket: Socket): number =>
  (socket as { readonly _handle?: { readonly writeQueueSize?: number } | null })._handle?.writeQueueSize ?? 0

/** Bytes that the system has taken of all that was written. */
export const bytesSent = (socket: Socket): number => socket.bytesWritten - writeQueueSize(socket)
