import { NodeHttpServer } from "@effect/platform-node"
import { Context, Effect, Layer } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"

interface Span {
  readonly name: string
  readonly spanId: string
  readonly parentSpanId?: string
}

/** A collector of OTLP traces, until the scope closes. */
export const collector = Effect.gen(function*() {
  const received: Array<Span> = []
  const traces = HttpRouter.add(
    "POST",
    "/v1/traces",
    Effect.gen(function*() {
      const request = yield* HttpServerRequest.HttpServerRequest
      const { resourceSpans } = (yield* request.json) as any
      received.push(...resourceSpans.flatMap(({ scopeSpans }: any) => scopeSpans.flatMap(({ spans }: any) => spans)))
      return yield* HttpServerResponse.json({})
    })
  )
  const others = HttpRouter.add("POST", "/*", HttpServerResponse.json({}))
  const server = HttpRouter.serve(Layer.merge(traces, others), { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(createServer, { host: "127.0.0.1", port: 0, gracefulShutdownTimeout: 0 }))
  )
  const context = yield* Layer.build(server)
  const { address } = Context.get(context, HttpServer.HttpServer)
  return {
    url: `http://127.0.0.1:${"port" in address ? address.port : 0}`,
    /** The names of the spans so far, each with its parent's. */
    spans: Effect.sync(() =>
      received.toReversed().map(({ name, parentSpanId }) => ({
        name,
        parent: received.find(({ spanId }) => spanId === parentSpanId)?.name
      }))
    )
  }
})
