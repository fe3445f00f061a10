/** A service that gives one-time links over HTTP: `POST /reports/:customer` responds with a link that works once. */
import { FileBody, FileIo } from "@effect-fileio/client"
import { NodeHttpServer } from "@effect/platform-node"
import { Console, Effect, Layer } from "effect"
import { HttpClient, HttpRouter, HttpServerResponse } from "effect/http"
import { run } from "./internal/run.ts"

const reports = HttpRouter.add(
  "POST",
  "/reports/:customer",
  Effect.gen(function*() {
    const fileIo = yield* FileIo.FileIo
    const { customer } = yield* HttpRouter.params
    const report = FileBody.text(`The report for ${customer}`, { name: `${customer}.txt` })
    const { link } = yield* fileIo.upload(report, { expires: "1h" })
    return yield* HttpServerResponse.json({ link })
  }).pipe(
    // Whatever the reason: the response tells the caller to try again, and the log has the reason.
    Effect.catchTag(
      "FileIoError",
      (error) => Effect.as(Effect.logError(error), HttpServerResponse.text("try again later\n", { status: 503 }))
    )
  )
)

// A customer asks for a report and downloads it.
const customer = Effect.gen(function*() {
  const http = yield* HttpClient.HttpClient
  const fileIo = yield* FileIo.FileIo
  const response = yield* http.post("/reports/ada")
  const { link } = (yield* response.json) as { readonly link: string }
  yield* Console.log("POST /reports/ada", response.status, link)

  const { bytes, name } = yield* fileIo.downloadBytes(link)
  yield* Console.log(`${name}:`, new TextDecoder().decode(bytes))
})

const service = HttpRouter.serve(reports, { disableLogger: true, disableListenLog: true }).pipe(
  // A server on a free port, and a client for it.
  Layer.provideMerge(NodeHttpServer.layerTest)
)

run(Effect.provide(customer, service))
