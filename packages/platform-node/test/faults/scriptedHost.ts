/** An HTTP host with scripted responses, for what no fault of `NodeFaultHost` covers. */
import { FetchFileIo, type FileIo, FileTransfer, RateLimit } from "@effect-fileio/client"
import { NodeFileIo, NodePlatform } from "@effect-fileio/platform-node"
import { NodeServices } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

export interface Answer {
  /** @default 200 */
  readonly status?: number
  /** Without a `content-length` the body comes in chunks. */
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
  /** Breaks the connection after this many bytes of the body. */
  readonly cutAt?: number
}

export interface Request {
  readonly method: string
  readonly path: string
  readonly headers: Http.IncomingHttpHeaders
  readonly body: Buffer
}

interface ScriptedHost {
  readonly baseUrl: string
  readonly requests: ReadonlyArray<Request>
}

const send = (response: Http.ServerResponse, { body = "", cutAt, headers = {}, status = 200 }: Answer) => {
  response.writeHead(status, headers)
  if (cutAt === undefined) return void response.end(body)
  response.write(body.slice(0, cutAt))
  // Waits a moment, so that written bytes arrive before the connection breaks.
  setTimeout(() => response.destroy(), 30)
}

/** Listens until the scope closes; `answer` gets the request and the number of requests before it. */
export const scriptedHost = (answer: (request: Request, before: number) => Answer) =>
  Effect.acquireRelease(
    Effect.callback<ScriptedHost & { readonly close: () => void }>((resume) => {
      const requests: Array<Request> = []
      const server = Http.createServer((incoming, response) => {
        const chunks: Array<Buffer> = []
        incoming.on("data", (chunk: Buffer) => chunks.push(chunk))
        incoming.on("end", () => {
          const { headers, method = "", url = "" } = incoming
          const request = { method, path: url, headers, body: Buffer.concat(chunks) }
          requests.push(request)
          send(response, answer(request, requests.length - 1))
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        const close = () => {
          server.closeAllConnections()
          server.close()
        }
        resume(Effect.succeed({ baseUrl: `http://127.0.0.1:${port}`, requests, close }))
      })
    }),
    ({ close }) => Effect.sync(close)
  )

const unlimited = RateLimit.layer(RateLimit.unlimited)

type Transport = (
  options: FileIo.Options
) => Layer.Layer<FileIo.FileIo | FileTransfer.FileTransfer | NodeServices.NodeServices>

const onNode = (options: NodeFileIo.Options) =>
  NodeFileIo.layer(options).pipe(Layer.provide(unlimited), Layer.merge(NodeServices.layer), Layer.orDie)

const onSockets: Transport = (options) =>
  NodeFileIo.layerSockets(options).pipe(
    Layer.provide(unlimited),
    Layer.merge(NodeServices.layer),
    Layer.orDie
  )

const onFetch: Transport = (options) =>
  Layer.fresh(FileTransfer.layer).pipe(
    Layer.provideMerge(FetchFileIo.layer(options)),
    Layer.provide([unlimited, NodePlatform.layer]),
    Layer.provideMerge(NodeServices.layer),
    Layer.orDie
  )

/** The client over each of the HTTP clients that come with it. */
export const transports = { undici: onNode, sockets: onSockets, fetch: onFetch }

export const transportNames = ["undici", "sockets", "fetch"] as const
