/** Checks and headers of every request before routing. */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { Server } from "node:http"
import { Blocklist } from "../../Blocklist.ts"
import * as Forwarded from "./forwarded.ts"
import * as Refusal from "./refusal.ts"
import { Settings } from "./settings.ts"

const A_YEAR = 365 * 24 * 60 * 60

const EXPOSED = [
  "accept-ranges",
  "content-disposition",
  "content-length",
  "content-range",
  "delete-token",
  "etag",
  "file-link",
  "location",
  "ratelimit-limit",
  "ratelimit-remaining",
  "ratelimit-reset",
  "retry-after",
  "upload-complete",
  "upload-length",
  "upload-limit",
  "upload-offset"
].join(", ")

const preflight = {
  "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
  "access-control-allow-headers": [
    "authorization",
    "content-disposition",
    "content-type",
    "delete-token",
    "if-range",
    "range",
    "upload-complete",
    "upload-draft-interop-version",
    "upload-length",
    "upload-offset"
  ].join(", "),
  "access-control-max-age": "86400"
}

/** The most parameters of a query: parsing time is quadratic in their number. */
const MAX_PARAMETERS = 100

const hasTooManyParameters = (url: string): boolean => {
  let parameters = 0
  for (let at = url.indexOf("?"); at !== -1; at = url.indexOf("&", at + 1)) {
    if (++parameters > MAX_PARAMETERS) return true
  }
  return false
}

const tooManyParameters = Refusal.invalid(`The query has more than ${MAX_PARAMETERS} parameters`)

/** Whether the server is stopping; a connection that is kept alive can still send requests. */
const isStopping = (request: HttpServerRequest.HttpServerRequest): boolean => {
  const { server } = NodeHttpServerRequest.toIncomingMessage(request).socket as { readonly server?: Server }
  return server?.listening === false
}

/** Headers of which Node takes the first, and a proxy perhaps the last, by their names in lower case. */
const SINGLE = new Map(["Host", "Authorization", "Content-Type"].map((name) => [name.toLowerCase(), name]))

/** A header that may occur only once, and occurs more often. */
const repeatedField = (request: HttpServerRequest.HttpServerRequest): string | undefined => {
  const { rawHeaders } = NodeHttpServerRequest.toIncomingMessage(request)
  const seen: Array<string> = []
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = SINGLE.get(rawHeaders[i]!.toLowerCase())
    if (name === undefined) continue
    if (seen.includes(name)) return name
    seen.push(name)
  }
  return undefined
}

const CHANGING = new Set(["POST", "PUT", "PATCH", "DELETE"])

/**
 * Whether a page of another site makes its visitor's browser change something here. Only browsers send these headers, and no
 * page can set them. A request with credentials is not made so: browsers ask before they send those.
 */
const isCrossSite = (request: HttpServerRequest.HttpServerRequest, base: string): boolean => {
  const { authorization, host, origin, "sec-fetch-site": site } = request.headers
  if (!CHANGING.has(request.method) || authorization !== undefined) return false
  if (site === "same-origin" || site === "none") return false
  // Over plain HTTP browsers send only the origin.
  if (site === undefined && origin === undefined) return false
  if (origin === undefined || !URL.canParse(origin)) return true
  return origin !== new URL(base).origin && new URL(origin).host !== host
}

/** Sets the headers of every response, and returns the response if a request ends here. */
export const make = Effect.gen(function*() {
  const { allowedOrigins, baseOf, isHostAllowed, proxies } = yield* Settings
  const blocklist = yield* Blocklist

  const allowed = (request: HttpServerRequest.HttpServerRequest): string | undefined => {
    const origin = request.headers["origin"]
    return origin !== undefined && (allowedOrigins.has(origin) || allowedOrigins.has("*")) ? origin : undefined
  }

  return (request: HttpServerRequest.HttpServerRequest): HttpServerResponse.HttpServerResponse | undefined => {
    const base = baseOf(request)
    if (base.startsWith("https:") || Forwarded.isSecure(request, proxies)) {
      Forwarded.setHeaders(request, { "strict-transport-security": `max-age=${A_YEAR}` })
    }
    if (!isHostAllowed(request)) return Refusal.toResponse(Refusal.hostNotAllowed)
    if (isStopping(request)) return Refusal.toResponse(Refusal.stopping, base)
    if (blocklist.entries().hasAddress(Forwarded.addressOf(request, proxies))) {
      return Refusal.toResponse(Refusal.blockedAddress, base)
    }
    const repeated = repeatedField(request)
    if (repeated !== undefined) return Refusal.toResponse(Refusal.repeatedField(repeated), base)
    if (hasTooManyParameters(request.url)) return Refusal.toResponse(tooManyParameters, base)
    if (allowedOrigins.size > 0) Forwarded.setHeaders(request, { vary: "origin" })
    const origin = allowed(request)
    if (origin === undefined) {
      return isCrossSite(request, base)
        ? Refusal.toResponse(Refusal.originNotAllowed(request.headers["origin"]), base)
        : undefined
    }
    Forwarded.setHeaders(request, {
      "access-control-allow-origin": origin,
      "access-control-expose-headers": EXPOSED
    })
    const asked = request.headers["access-control-request-method"]
    return request.method === "OPTIONS" && asked !== undefined
      ? HttpServerResponse.empty({ status: 204, headers: preflight })
      : undefined
  }
})
