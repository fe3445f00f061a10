/** The allowed methods of the server's paths. */
import * as FileIoApi from "@effect-fileio/core/FileIoApi"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import { isKey } from "./key.ts"

/** The address of a resumable upload. */
const UPLOAD = "/uploads/:upload"

/** The methods of a path, from the contract's declaration. */
const methods: ReadonlyArray<{
  readonly route: string
  readonly matches: (path: string) => boolean
  readonly allowed: ReadonlySet<string>
}> = (() => {
  const byPath = new Map<string, Array<string>>()
  for (const endpoint of Object.values(FileIoApi.FilesGroup.endpoints)) {
    const known = byPath.get(endpoint.path) ?? []
    byPath.set(endpoint.path, [...known, endpoint.method, ...(endpoint.method === "GET" ? ["HEAD"] : [])])
  }
  // `curl -T - https://host/` sends its input with a PUT without a name.
  byPath.get("/")!.push("PUT")
  byPath.set(UPLOAD, ["GET", "HEAD", "PATCH", "DELETE"])
  for (const path of ["/", "/:key", UPLOAD]) byPath.get(path)!.push("OPTIONS")
  for (const page of ["/download/:key", "/header/:key", "/status/:key"]) byPath.set(page, ["GET", "HEAD"])
  byPath.set("/uploaded/:key", ["GET", "HEAD", "POST"])
  return [...byPath].map(([pattern, allowed]) => {
    const [before, after] = pattern.split(/:\w+/)
    const matches = after === undefined
      ? (path: string) => path === pattern
      : (path: string) => path.startsWith(before!) && (pattern === UPLOAD ? true : isKey(path.slice(before!.length)))
    return { route: pattern, matches, allowed: new Set(allowed) }
  })
})()

const find = ({ url }: HttpServerRequest.HttpServerRequest) => {
  const path = url.split("?")[0]!
  return methods.find(({ matches }) => matches(path))
}

/** The methods of a request's path; none if nothing is there. */
export const of = (request: HttpServerRequest.HttpServerRequest): ReadonlyArray<string> => [
  ...find(request)?.allowed ?? []
]

/** The allowed methods of a path, if the request's is not one of them. */
export const wrong = (request: HttpServerRequest.HttpServerRequest): string | undefined => {
  const allowed = of(request)
  return allowed.length === 0 || allowed.includes(request.method) ? undefined : allowed.join(", ")
}

/** The pattern of a request's path, for a log that must not contain the path. */
export const routeOf = (request: HttpServerRequest.HttpServerRequest): string => find(request)?.route ?? "other"
