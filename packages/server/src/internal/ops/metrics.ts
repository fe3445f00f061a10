/** The server's metrics. They are Effect's, so a program that embeds the server exports them with its own. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { HttpServerResponse } from "effect/http/HttpServerResponse"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import { untilClosed } from "../shared/untilClosed.ts"

/** Clients choose methods, and each new one would be a new series. */
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])

/** The method as a value of a metric or a span. */
export const knownMethod = (method: string): string => METHODS.has(method) ? method : "other"

/** One series for each name, since to make it, or to name it, at each update costs more than to update it. */
const series = <S>(make: (name: string) => S) => {
  const made = new Map<string, S>()
  return (name: string): S => {
    const known = made.get(name)
    if (known !== undefined) return known
    const one = make(name)
    made.set(name, one)
    return one
  }
}

const responses = series((name) => {
  const [method = "", status = ""] = name.split(" ")
  return Metric.counter("fileio_requests_total", {
    description: "Requests with a response",
    attributes: { method, status },
    incremental: true
  })
})

/** Seconds of each response, including the bytes of a download. */
const durations = series((method) =>
  Metric.histogram("fileio_request_seconds", {
    description: "Seconds until the response to a request ended, with the bytes of an upload or a download",
    attributes: { method },
    boundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600]
  })
)

/** Counts a response. */
export const responded = (
  { method }: HttpServerRequest,
  response: HttpServerResponse,
  millis: number
): Effect.Effect<HttpServerResponse> =>
  Effect.withFiberSucceed(({ context }) => {
    const known = knownMethod(method)
    responses(`${known} ${response.status}`).updateUnsafe(1, context)
    durations(known).updateUnsafe(millis / 1000, context)
    return response
  })

const uploads = series((plan) => ({
  files: Metric.counter("fileio_uploads_total", {
    description: "Files stored",
    attributes: { plan },
    incremental: true
  }),
  bytes: Metric.counter("fileio_upload_bytes_total", {
    description: "Bytes of the files stored",
    attributes: { plan },
    incremental: true
  })
}))

/** By the plan of the account, whose names the operator chooses. */
export const uploaded = (size: number, plan: string): Effect.Effect<void> =>
  Effect.withFiberSucceed(({ context }) => {
    const { bytes, files } = uploads(plan)
    files.updateUnsafe(1, context)
    bytes.updateUnsafe(size, context)
  })

const unfinished = Metric.gauge("fileio_uploads_unfinished", { description: "Uploads whose bodies are coming in" })

/** Counts an upload while its body arrives. */
export const uploading: Effect.Effect<void, never, Scope.Scope> = Effect.withFiber(({ context }) =>
  untilClosed(
    () => unfinished.modifyUnsafe(1, context),
    () => unfinished.modifyUnsafe(-1, context)
  )
)

const lastSweep = Metric.gauge("fileio_last_sweep_timestamp_seconds", {
  description: "When the last sweep ended that removed all it was to remove, in seconds since 1970"
})

export const swept: Effect.Effect<void> = Effect.flatMap(
  Clock.currentTimeMillis,
  (now) => Metric.update(lastSweep, now / 1000)
)

const downloads = series((outcome) =>
  Metric.counter("fileio_downloads_total", {
    description: "Transfers of a file, whole or broken",
    attributes: { outcome },
    incremental: true
  })
)
const downloadBytes = Metric.counter("fileio_download_bytes_total", {
  description: "Bytes of the transfers that were handed over whole",
  incremental: true
})

export const downloaded = (bytes: number, whole: boolean): Effect.Effect<void> =>
  Effect.withFiberSucceed(({ context }) => {
    downloads(whole ? "whole" : "broken").updateUnsafe(1, context)
    if (whole) downloadBytes.updateUnsafe(bytes, context)
  })

const faults = Metric.counter("fileio_faults_total", { description: "Faults of the host", incremental: true })

export const fault = (kind: string): Effect.Effect<void> => Metric.update(Metric.withAttributes(faults, { kind }), 1)

const gauges = {
  connections: Metric.gauge("fileio_connections", { description: "Open connections" }),
  files: Metric.gauge("fileio_files", { description: "Files in the catalog" }),
  stored: Metric.gauge("fileio_stored_bytes", { description: "Bytes of the files in the catalog" }),
  free: Metric.gauge("fileio_disk_free_bytes", { description: "Free bytes of the disk of the data folder" }),
  resident: Metric.gauge("process_resident_memory_bytes", { description: "Resident memory of the process" }),
  up: Metric.gauge("fileio_healthy", { description: "1 if the server can store and give files" })
}

export const measured = (values: Readonly<Partial<Record<keyof typeof gauges, number>>>): Effect.Effect<void> =>
  Effect.forEach(
    Object.entries(values),
    ([name, value]) => Metric.update(gauges[name as keyof typeof gauges], value),
    { discard: true }
  )
