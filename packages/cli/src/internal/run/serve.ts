import * as Variable from "@effect-fileio/core/Variable"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as JsonLine from "../../JsonLine.ts"
import { local, usage } from "../problem.ts"
import { Report } from "../report.ts"
import type { Runner } from "../services.ts"
import * as Settings from "../settings.ts"
import { Stdio } from "../stdio.ts"

export const run: Runner<{
  readonly host: string
  readonly port: number
  readonly data: string | undefined
  readonly publicUrl: string | undefined
}> = Effect.fnUntraced(function*({ data, host, port, publicUrl }) {
  const report = yield* Report
  const { env, stderr } = yield* Stdio
  if (port < 0 || port > 65535) return yield* usage(`there is no port ${port}`, "Allowed: 0 to 65535.")
  const address = publicUrl === undefined ? undefined : Variable.address(publicUrl)
  if (address !== undefined && Result.isFailure(address)) {
    return yield* usage("--public-url cannot be read", `Allowed: ${address.failure}`)
  }
  const { FileIoServer, ServerOptions } = yield* Effect.promise(() => import("@effect-fileio/server"))
  const accounts = yield* Effect.orDie(
    Effect.flatMap(Settings.provider, (provider) => ServerOptions.account.parse(provider))
  )
  const options = {
    host,
    port,
    publicUrl,
    accounts,
    // Ctrl-C ends within a second.
    gracefulShutdownTimeout: "500 millis" as const
  }
  const services = yield* Layer.build(
    data === undefined ? FileIoServer.layerTemporary(options) : FileIoServer.layer({ ...options, dataDirectory: data })
  ).pipe(Effect.mapError((error) =>
    local(
      error._tag === "ListenError" ? `cannot listen on ${error.host}:${error.port}: ${error.problem}` : error.message,
      error._tag === "ListenError"
        ? `${error.advice.charAt(0).toUpperCase()}${error.advice.slice(1)}: --host, --port.`
        : error._tag === "InvalidOption"
        ? "Correct it."
        : "Give another --data folder.",
      error
    )
  ))
  const server = Context.get(services, FileIoServer.FileIoServer)
  report.endIsDone()
  yield* report.result(
    {
      v: JsonLine.VERSION,
      type: "serving",
      url: server.url,
      urls: server.urls,
      publicUrl: server.publicUrl,
      data: data ?? null
    },
    server.urls.join("\n")
  )
  yield* report.note(
    `serving ${
      data === undefined ? "a temporary folder" : data
    }; Ctrl-C stops it. In another terminal:\n  fileio --base-url ${server.url} upload FILE`
  )
  // Something for the camera of a phone, which cannot reach this machine's own address.
  const shown = publicUrl === undefined ? server.urls[1] : server.publicUrl
  const isSeen = stderr.isTerminal && !report.flags.quiet && !report.flags.json
  if (shown !== undefined && isSeen) {
    const { lines } = yield* Effect.promise(() => import("../qr.ts"))
    yield* report.drawing(`${shown}\n${lines(shown, (env["NO_COLOR"] ?? "") === "")}`)
  }
  return yield* Effect.never
})
