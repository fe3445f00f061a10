/** The pages' routes, and what a browser gets where a program gets JSON. */
import * as FileKey from "@effect-fileio/core/FileKey"
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Catalog } from "../../Catalog.ts"
import { Plans } from "../../Plans.ts"
import * as Problem from "../http/problem.ts"
import * as Refusal from "../http/refusal.ts"
import { Settings } from "../http/settings.ts"
import { isKey } from "../shared/key.ts"
import * as Assets from "./assets.ts"
import * as Page from "./page.ts"
import * as Receiver from "./receiver.ts"

const guard = { "referrer-policy": "no-referrer", "x-content-type-options": "nosniff" }

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "require-trusted-types-for 'script'"
].join("; ")

/** A page with the headers that all pages have. */
export const html = (body: string, status: number, headers: Readonly<Record<string, string>> = {}) =>
  HttpServerResponse.text(body, {
    status,
    contentType: "text/html; charset=utf-8",
    headers: { "cache-control": "no-store", "content-security-policy": POLICY, vary: "accept", ...guard, ...headers }
  })

const pathOf = (request: HttpServerRequest.HttpServerRequest): string => request.url.split("?")[0]!

/** Such as a browser that goes to an address; its script and every program ask for something else. */
const isBrowser = (request: HttpServerRequest.HttpServerRequest): boolean =>
  (request.headers["accept"] ?? "").includes("text/html") && request.headers["authorization"] === undefined

/** `/download/{key}` for whoever got a link, `/uploaded/{key}` for whoever made it, and what they load. */
export const routes = HttpRouter.use(Effect.fnUntraced(function*(router) {
  const catalog = yield* Catalog
  const plans = yield* Plans
  const random = yield* SecureRandom.SecureRandom
  const { publicUrl } = yield* Settings
  const { refuse } = yield* Problem.make

  // Looking never claims.
  const look = Effect.gen(function*() {
    const { key = "" } = yield* HttpRouter.params
    const file = isKey(key) ? yield* catalog.get(key) : Option.none()
    if (Option.isNone(file)) return undefined
    const availability = yield* catalog.peek(key)
    // A file that is being downloaded may come back, so its page stays.
    if (availability._tag === "Gone") return undefined
    return { file: file.value, availability, now: yield* Clock.currentTimeMillis }
  })
  const gone = html(Page.gone("../"), 404)

  yield* router.add(
    "GET",
    "/download/:key",
    Effect.gen(function*() {
      const seen = yield* look
      if (seen === undefined) return gone
      const request = yield* HttpServerRequest.HttpServerRequest
      const headers = Receiver.isKnown(request)
        ? {}
        : { "set-cookie": Receiver.cookie(yield* random.randomBytes(Receiver.TOKEN_BYTES), publicUrl) }
      return html(Page.file(seen.file, seen.now, seen.availability._tag === "InProgress"), 200, headers)
    }).pipe(refuse)
  )
  yield* router.add(
    "GET",
    "/uploaded/:key",
    Effect.map(
      look,
      (seen) =>
        seen === undefined
          ? gone
          : html(Page.uploaded(seen.file, publicUrl, seen.now, plans.get(seen.file.plan).directDownload), 200)
    )
      .pipe(refuse)
  )
  yield* router.add(
    "GET",
    "/assets/:name",
    Effect.map(HttpRouter.params, ({ name = "" }) => {
      const asset = Assets.byName.get(name)
      return asset === undefined
        ? Refusal.toResponse(Refusal.noRoute("GET"), publicUrl)
        // The name has a hash of the content.
        : HttpServerResponse.text(asset.body, {
          contentType: asset.type,
          headers: { "cache-control": "public, max-age=31536000, immutable", ...guard }
        })
    })
  )
}))

/** The JSON of a response, where it is one of ours. */
const jsonOf = (response: HttpServerResponse.HttpServerResponse): unknown => {
  const { body } = response
  if (body._tag !== "Uint8Array" || !body.contentType.startsWith("application/json")) return undefined
  try {
    return JSON.parse(new TextDecoder().decode(body.body))
  } catch {
    return undefined
  }
}

const isEnvelope = Schema.is(
  Schema.Struct({ success: Schema.Literal(false), code: Schema.String, message: Schema.String })
)
const isUploaded = Schema.is(Schema.Struct({ success: Schema.Literal(true), key: FileKey.FileKey }))

/**
 * What a browser gets in place of the API's JSON: the page that uploads for `GET /`, the link for an upload by the form,
 * and a page for every refusal. Whoever gives a key, or does not ask for `text/html`, gets the JSON.
 */
export const forBrowsers: Effect.Effect<
  (
    request: HttpServerRequest.HttpServerRequest,
    response: HttpServerResponse.HttpServerResponse
  ) => HttpServerResponse.HttpServerResponse,
  never,
  Plans | Settings
> = Effect.gen(function*() {
  const plans = yield* Plans
  const { anonymousPlan, publicUrl } = yield* Settings
  const home = Page.home(plans.get(anonymousPlan), publicUrl)

  return (request, response) => {
    if (!isBrowser(request)) return response
    const path = pathOf(request)
    const json = jsonOf(response)
    if (json === undefined) return response
    if (request.method === "POST" && path === "/" && response.status === 200 && isUploaded(json)) {
      // The page has an address of its own, so that a reload does not upload again.
      return HttpServerResponse.redirect(`uploaded/${json.key}`, {
        status: 303,
        headers: { "cache-control": "no-store" }
      })
    }
    if (!isEnvelope(json)) return response
    const { status } = response
    if (status === 401) return path === "/" && request.method !== "POST" ? html(home, 200) : response
    const root = "../".repeat(path.split("/").length - 2) || "./"
    const retryAfter = response.headers["retry-after"]
    const headers = retryAfter === undefined ? {} : { "retry-after": retryAfter }
    const page = json.code === "FILE_NOT_FOUND"
      ? Page.gone(root)
      : json.code === "DOWNLOAD_IN_PROGRESS"
      ? Page.inProgress(root, retryAfter)
      : Page.problem(root, request.method === "POST" && path === "/", json.message)
    return html(page, status, headers)
  }
})
