/**
 * A test host on a real socket, with injected faults, for what only a network can do, such as a reset in the middle of
 * a body. It listens on a free port of this machine.
 *
 * **Example** (A download that is cut)
 *
 * ```ts
 * import { FileIo } from "@effect-fileio/client"
 * import { Fault } from "@effect-fileio/client/testing"
 * import { NodeFileIo } from "@effect-fileio/platform-node"
 * import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
 * import { Effect } from "effect"
 *
 * const test = Effect.gen(function*() {
 *   const host = yield* NodeFaultHost.make()
 *   const { link } = yield* host.put({ bytes: new Uint8Array(1_000_000) })
 *   yield* host.inject(Fault.ResetBody({ atByte: 500_000 }), { on: "download" })
 *   return yield* FileIo.FileIo.use((fileIo) => fileIo.downloadBytes(link)).pipe(
 *     Effect.provide(NodeFileIo.layer({ baseUrl: host.baseUrl }))
 *   )
 * }).pipe(Effect.scoped)
 * ```
 *
 * Where no sockets are needed, `FileIoTest` of `@effect-fileio/client` is the same host in memory.
 *
 * @since 0.1.0
 */
import type { Fault } from "@effect-fileio/client/testing/Fault"
import * as MemoryHost from "@effect-fileio/client/testing/MemoryHost"
import * as DurationInput from "@effect-fileio/core/DurationInput"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { once } from "node:events"
import * as Http from "node:http"
import type { AddressInfo, Socket } from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import * as Forward from "../internal/testing/forward.ts"

/**
 * The host: its address, and control of its faults and files.
 *
 * **Details**
 *
 * `Fault.Refuse` closes the port until `clear`, since a port refuses all clients or none.
 *
 * @category services
 * @since 0.1.0
 */
export class NodeFaultHost extends Context.Service<NodeFaultHost, MemoryHost.Host>()(
  "@effect-fileio/platform-node/NodeFaultHost"
) {}

/**
 * What the host knows, and where it listens.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends MemoryHost.Options {
  /** @default a free one */
  readonly port?: number | undefined
}

/** Reads the body of a request up to a byte, or as far as it came if the client broke off before that. */
const read = (
  incoming: Http.IncomingMessage,
  stopAt: number,
  request: MemoryHost.Request
): Promise<{ readonly body: Buffer; readonly isBroken: boolean }> =>
  new Promise((resolve) => {
    const chunks: Array<Buffer> = []
    let length = 0
    const end = (isBroken: boolean) => resolve({ body: Buffer.concat(chunks), isBroken })
    const stop = () => {
      incoming.pause()
      end(false)
    }
    if (stopAt === 0) return stop()
    incoming.on("data", (chunk: Buffer) => {
      chunks.push(chunk)
      length += chunk.length
      request.bodyBytes = Math.min(stopAt, length)
      if (length >= stopAt) stop()
    })
    incoming.on("end", () => end(false))
    incoming.on("error", () => end(true))
    incoming.on("close", () => end(!incoming.complete))
  })

const isRequestFault = (fault: Fault) =>
  fault._tag === "ResetRequest" || fault._tag === "StallRequest" || fault._tag === "EarlyStatus"

/** Writes and waits until the system has taken it; `false` if the connection is gone. */
const write = (socket: Socket, data: string | Uint8Array): Promise<boolean> =>
  new Promise((resolve) => {
    if (socket.destroyed) return resolve(false)
    const gone = () => resolve(false)
    socket.once("close", gone)
    socket.write(data, (error) => {
      socket.off("close", gone)
      resolve(error === undefined || error === null)
    })
  })

const headOf = (hostResponse: MemoryHost.HostResponse, extra: Readonly<Record<string, string>>): string => {
  const headers = { connection: "close", ...hostResponse.headers, ...extra }
  const lines = Object.entries(headers).filter(([, value]) => value !== "").map(([name, value]) =>
    `${name}: ${value}\r\n`
  )
  return `HTTP/1.1 ${hostResponse.status} ${Http.STATUS_CODES[hostResponse.status] ?? "Unknown"}\r\n${
    lines.join("")
  }\r\n`
}

const WRITE_BYTES = 64 * 1024

/** Writes a body piece by piece, and returns the number of bytes written. */
const writeBody = async (
  socket: Socket,
  content: Uint8Array,
  options: { readonly piece: number; readonly chunked?: boolean; readonly everyMillis?: number }
): Promise<number> => {
  let at = 0
  while (at < content.length) {
    const piece = content.subarray(at, at + options.piece)
    if (options.everyMillis !== undefined) await sleep(options.everyMillis)
    if (options.chunked === true && !(await write(socket, `${piece.length.toString(16)}\r\n`))) break
    if (!(await write(socket, piece))) break
    if (options.chunked === true && !(await write(socket, "\r\n"))) break
    at += piece.length
  }
  return Math.min(at, content.length)
}

/** Sends a response, with its fault. */
const send = async (
  socket: Socket,
  hostResponse: MemoryHost.HostResponse,
  fault: Fault
): Promise<number> => {
  const { body } = hostResponse
  const chunked = fault._tag === "CutChunked"
  await write(socket, headOf(hostResponse, chunked ? { "content-length": "", "transfer-encoding": "chunked" } : {}))
  switch (fault._tag) {
    case "ResetBody":
    case "Truncate":
    case "CutChunked":
    case "StallBody": {
      const sent = await writeBody(socket, body.subarray(0, fault.atByte), { piece: WRITE_BYTES, chunked })
      if (fault._tag === "ResetBody") {
        // A reset overtakes bytes that the receiver has not read yet, so wait a moment.
        await sleep(20)
        socket.resetAndDestroy()
      } else if (fault._tag !== "StallBody") socket.end()
      else if (!socket.destroyed) await once(socket, "close")
      return sent
    }
    case "TooManyBytes":
      return writeBody(socket, Buffer.concat([body, new Uint8Array(fault.extra)]), { piece: WRITE_BYTES })
    case "Drip":
      return writeBody(socket, body, {
        piece: fault.bytes,
        everyMillis: Duration.toMillis(DurationInput.parseOptionUnsafe("every", fault.every))
      })
    default: {
      const sent = await writeBody(socket, body, { piece: WRITE_BYTES })
      if (fault._tag === "EarlyStatus" && fault.close) socket.destroySoon()
      return sent
    }
  }
}

/** How much of a host's response a fault needs, in bytes of its body; `undefined` for one that sends another response. */
const neededOf = (fault: Fault): number | undefined => {
  switch (fault._tag) {
    case "Html":
    case "Redirect":
    case "Status":
    case "EarlyStatus":
      return undefined
    case "ResetBody":
    case "Truncate":
    case "CutChunked":
    case "StallBody":
      return fault.atByte
    default:
      return Infinity
  }
}

/** Listens until the scope closes. `host` handles the requests, if it is given, in place of files in memory. */
const listen = Effect.fnUntraced(function*(
  options: Options | undefined,
  host: URL | undefined
): Effect.fn.Return<MemoryHost.Host, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  let port = options?.port ?? 0
  const baseUrl = () => `http://127.0.0.1:${port}`
  const core = MemoryHost.makeCore({ ...options, baseUrl })
  const sockets = new Set<Socket>()

  const handle = async (incoming: Http.IncomingMessage, response: Http.ServerResponse) => {
    const { socket } = incoming
    const headers = Object.fromEntries(
      Object.entries(incoming.headers).map((
        [name, value]
      ) => [name, Array.isArray(value) ? value.join(", ") : value ?? ""])
    )
    const { fault, request } = core.arrive(
      { method: incoming.method ?? "", target: incoming.url ?? "", headers },
      now()
    )
    let isDone = false
    const gone = () => {
      if (!isDone) request.aborted = true
    }
    socket.once("close", gone)
    if (headers["expect"] === "100-continue") response.writeContinue()
    const stopAt = fault !== undefined && isRequestFault(fault) && "atByte" in fault ? fault.atByte : Infinity
    const { body, isBroken } = await read(incoming, stopAt, request)
    if (isBroken || fault?._tag === "ResetRequest" || fault?._tag === "StallRequest") {
      core.keep(request, body.subarray(0, stopAt))
    }
    if (isBroken) return
    if (fault?._tag === "ResetRequest") return void socket.resetAndDestroy()
    if (fault?._tag === "StallRequest") return
    if (fault?._tag === "ResetBeforeHeaders" || fault?._tag === "StallBeforeHeaders") {
      if (fault.handled) {
        const made = host === undefined
          ? core.handle(request, body, now())
          : await Forward.respond(host, request, body, Infinity)
        made.settle(Infinity, now())
      }
      if (fault._tag === "ResetBeforeHeaders") socket.resetAndDestroy()
      return
    }
    if (fault === undefined && host !== undefined) {
      response.once("close", () => {
        isDone = response.writableFinished
        request.aborted = !isDone
        socket.off("close", gone)
      })
      return Forward.pass(host, request, body, response)
    }
    if (fault === undefined) {
      const made = core.handle(request, body, now())
      const wasAlready = socket.bytesWritten
      response.writeHead(made.status, made.headers)
      response.end(made.body)
      response.once("close", () => {
        isDone = response.writableFinished
        request.aborted = !isDone
        socket.off("close", gone)
        made.settle(isDone ? made.body.length : Math.max(0, socket.bytesWritten - wasAlready - 1024), now())
      })
      return
    }
    const needed = neededOf(fault)
    const handled = host === undefined || needed === undefined
      ? undefined
      : await Forward.respond(host, request, body, needed)
    const made = core.responseOf(fault, request, body, now(), handled)
    // `node:http` would not write what follows.
    response.detachSocket(socket)
    const sent = await send(socket, made, fault)
    isDone = sent >= made.body.length
    made.settle(sent, now())
    if (fault._tag === "EarlyStatus" && !fault.close) incoming.resume()
    else socket.end()
  }

  const server = Http.createServer({ requestTimeout: 0, headersTimeout: 0, keepAlive: true }, (incoming, response) => {
    handle(incoming, response).catch(() => {
      if (host === undefined || response.headersSent) incoming.socket.destroy()
      else response.writeHead(502).end()
    })
  })
  server.on("connection", (socket) => {
    sockets.add(socket)
    socket.setNoDelay(true)
    socket.on("error", () => {})
    socket.on("close", () => sockets.delete(socket))
  })
  server.on("clientError", (_, socket) => socket.destroy())

  const open = Effect.promise(async () => {
    if (server.listening) return
    server.listen(port, "127.0.0.1")
    await once(server, "listening")
    port = (server.address() as AddressInfo).port
  })
  const close = Effect.promise(async () => {
    for (const socket of sockets) socket.destroy()
    if (!server.listening) return
    server.close()
    await once(server, "close")
  })
  yield* Effect.acquireRelease(open, () => close)

  return {
    baseUrl: baseUrl(),
    apiKey: options?.apiKey ?? MemoryHost.apiKey,
    inject: (fault, injection) => fault._tag === "Refuse" ? close : Effect.sync(() => core.inject(fault, injection)),
    clear: Effect.andThen(Effect.sync(core.clear), open),
    requests: Effect.sync(() => [...core.requests]),
    files: Effect.sync(() => core.files(now())),
    put: (file) => Effect.sync(() => core.put(file, now()))
  }
})

/**
 * The test host. It listens until the scope closes.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options?: Options): Effect.Effect<MemoryHost.Host, never, Scope.Scope> =>
  listen(options, undefined)

/**
 * A proxy with faults, for your own host.
 *
 * @category models
 * @since 0.1.0
 */
export interface Proxy extends Pick<MemoryHost.Host, "baseUrl" | "inject" | "clear" | "requests"> {}

/**
 * Injects the same faults between a client and your own host, such as a `FileIoServer` in its tests: requests without a fault
 * reach the host, and so do those whose fault says that they are handled. It listens until the scope closes.
 *
 * **Details**
 *
 * An upload is read to its end before the host gets it. When a fault cuts a response, the host sees its connection break. By
 * then it has sent what is in the buffers of the system, which for a small file may be all of it. A host that cannot be reached
 * is a 502.
 *
 * **Example** (A download from your own host that is cut)
 *
 * ```ts no-run
 * import { FileIo } from "@effect-fileio/client"
 * import { Fault } from "@effect-fileio/client/testing"
 * import { NodeFileIo } from "@effect-fileio/platform-node"
 * import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
 * import { Effect } from "effect"
 *
 * const test = Effect.gen(function*() {
 *   const proxy = yield* NodeFaultHost.makeProxy("http://localhost:8080")
 *   yield* proxy.inject(Fault.ResetBody({ atByte: 500_000 }), { on: "download" })
 *   return yield* FileIo.FileIo.use((fileIo) => fileIo.downloadBytes("abcdefABCDEF")).pipe(
 *     Effect.provide(NodeFileIo.layer({ baseUrl: proxy.baseUrl }))
 *   )
 * }).pipe(Effect.scoped)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeProxy = (
  host: string | URL,
  options?: Pick<Options, "port">
): Effect.Effect<Proxy, never, Scope.Scope> => Effect.suspend(() => listen(options, new URL(host)))

/**
 * Listens as long as the layer is in use.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options?: Options): Layer.Layer<NodeFaultHost> => Layer.effect(NodeFaultHost, make(options))
