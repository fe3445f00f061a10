/** Properties of Node's sockets without a public name. */
import * as Effect from "effect/Effect"
import type { Socket } from "node:net"

/** Bytes that the system has not yet taken of the last write. */
const writeQueueSize = (socket: Socket): number =>
  (socket as { readonly _handle?: { readonly writeQueueSize?: number } | null })._handle?.writeQueueSize ?? 0

/**
 * Leaves what comes in to the system until `effect` reads the body of a request. A client that breaks off is noticed only then,
 * so it still gets the interim response that says where it can continue, and its bytes are stored.
 */
export const unreadUntil = <A, E, R>(socket: Socket, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    socket.pause()
    return Effect.ensuring(effect, Effect.sync(() => socket.resume()))
  })

/** Bytes that the system has taken of all that was written. */
export const bytesSent = (socket: Socket): number => socket.bytesWritten - writeQueueSize(socket)
