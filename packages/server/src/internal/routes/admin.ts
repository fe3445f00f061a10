/** Health and metrics for an operator, on a separate port: they need no key, so the port must not be public. */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import { createServer } from "node:http"
import { memoryUsage } from "node:process"
import { Health } from "../../Health.ts"
import * as Refusal from "../http/refusal.ts"
import * as Metrics from "../ops/metrics.ts"

const headers = { "cache-control": "no-store", "x-content-type-options": "nosniff" }

export interface Address {
  readonly host: string
  readonly port: number
}

/** Listens; returns the port. */
export const serve = Effect.fnUntraced(function*({ host, port }: Address, connections: () => number) {
  const health = yield* Health
  const server = yield* NodeHttpServer.make(() => createServer({ requestTimeout: 10_000 }), {
    host,
    port,
    gracefulShutdownTimeout: 0
  })

  const healthz = Effect.map(health.report, (report) =>
    HttpServerResponse.text(`${JSON.stringify(report)}\n`, {
      status: report.status === "failing" ? 503 : 200,
      contentType: "application/json; charset=utf-8",
      headers
    }))

  const metrics = Effect.gen(function*() {
    const { catalog: { bytes, files }, disk: { free }, status } = yield* health.report
    yield* Metrics.measured({
      connections: connections(),
      resident: memoryUsage.rss(),
      up: status === "failing" ? 0 : 1,
      ...(files === undefined ? {} : { files }),
      ...(bytes === undefined ? {} : { stored: bytes }),
      ...(free === undefined ? {} : { free })
    })
    return HttpServerResponse.text(yield* PrometheusMetrics.format(), {
      contentType: "text/plain; version=0.0.4; charset=utf-8",
      headers
    })
  })

  yield* server.serve(
    Effect.flatMap(HttpServerRequest.HttpServerRequest, ({ method, url }) => {
      const path = url.split("?")[0]
      if (method !== "GET" && method !== "HEAD") {
        return Effect.succeed(Refusal.toResponse(Refusal.methodNotAllowed(method, "GET, HEAD")))
      }
      return path === "/healthz"
        ? healthz
        : path === "/metrics"
        ? metrics
        : Effect.succeed(Refusal.toResponse(Refusal.noRoute(method)))
    })
  )
  return "port" in server.address ? server.address.port : port
})
