/** Sends traces to an OTLP collector. No span, log line or metric contains a key, a link or the name of a file. */
import { FileBody, FileIo } from "@effect-fileio/client"
import { Console, Effect, Layer } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp } from "effect/observability"
import { collector } from "./internal/collector.ts"
import { run } from "./internal/run.ts"

const job = Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  const { key } = yield* fileIo.upload(FileBody.text("a report"))
  yield* fileIo.downloadBytes(key)
}).pipe(Effect.withSpan("nightly-report"))

run(Effect.gen(function*() {
  // Stands for your collector, such as http://localhost:4318.
  const { spans, url } = yield* collector
  const otlp = Otlp.layerJson({ baseUrl: url, resource: { serviceName: "reports" } }).pipe(
    Layer.provide(FetchHttpClient.layer)
  )
  // Remaining spans are sent when the layer closes.
  yield* Effect.provide(job, otlp)
  for (const { name, parent } of yield* spans) {
    yield* Console.log(parent === undefined ? name : `  ${name} in ${parent}`)
  }
}))
