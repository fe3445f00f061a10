/** The routes of the pages, and of their assets. */
import * as Clock from "effect/Clock"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import { Catalog, type FileRecord } from "../../Catalog.ts"
import { Plans } from "../../Plans.ts"
import * as DeleteToken from "../handlers/deleteToken.ts"
import * as Files from "../handlers/files.ts"
import * as Anonymous from "../http/anonymous.ts"
import * as Refusal from "../http/refusal.ts"
import { Settings } from "../http/settings.ts"
import { isKey } from "../shared/key.ts"
import * as Assets from "../web/assets.ts"
import { guard, html } from "../web/browser.ts"
import * as FilePages from "../web/filePages.ts"
import * as Receiver from "../web/receiver.ts"
import * as Sender from "../web/sender.ts"
import * as SendPages from "../web/sendPages.ts"
import * as Words from "../web/words/words.ts"
import * as Authentication from "./authentication.ts"
import * as Problem from "./problem.ts"

/** `/download/{key}` for receivers, `/uploaded/{key}` for senders, and their assets. */
export const routes = HttpRouter.use(Effect.fnUntraced(function*(router) {
  const catalog = yield* Catalog
  const plans = yield* Plans
  const random = yield* SecureRandom.SecureRandom
  const { anonymous, baseOf, grace } = yield* Settings
  const authenticate = yield* Authentication.make
  const { refuse } = yield* Problem.make
  const { remove } = yield* Files.make

  // Looking never claims.
  const look = Effect.gen(function*() {
    const { key = "" } = yield* HttpRouter.params
    const file = isKey(key) ? yield* catalog.get(key) : Option.none()
    if (Option.isNone(file)) return undefined
    const availability = yield* catalog.peek(key)
    // A file with a running download may become available again, so its page stays.
    if (availability._tag === "Gone") return undefined
    return { file: file.value, availability, now: yield* Clock.currentTimeMillis }
  })
  /** The page of a file shows its name and size, so it needs a key if the file does. */
  const page = <E, R>(handling: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
    Anonymous.needsKey(anonymous, "download")
      ? Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => authenticate(request, true, () => handling))
      : handling
  const gone = (request: HttpServerRequest.HttpServerRequest) => html(FilePages.gone(Words.of(request), "../"), 404)

  yield* router.add(
    "GET",
    "/download/:key",
    Effect.gen(function*() {
      const seen = yield* look
      const request = yield* HttpServerRequest.HttpServerRequest
      if (seen === undefined) return gone(request)
      const isInProgress = seen.availability._tag === "InProgress"
      const headers = Receiver.isKnown(request)
        ? {}
        : { "set-cookie": Receiver.cookie(yield* random.randomBytes(Receiver.TOKEN_BYTES), baseOf(request)) }
      return html(
        FilePages.file(Words.of(request), seen.file, baseOf(request), seen.now, isInProgress, grace),
        200,
        headers
      )
    }).pipe(refuse, page)
  )
  const tokenFor = (request: HttpServerRequest.HttpServerRequest, { deleteHash }: FileRecord): string | undefined => {
    const token = Sender.tokenOf(request)
    return token !== undefined && DeleteToken.matches(deleteHash, token) ? token : undefined
  }
  yield* router.add(
    "GET",
    "/uploaded/:key",
    Effect.zipWith(
      look,
      HttpServerRequest.HttpServerRequest,
      (seen, request) =>
        seen === undefined
          ? gone(request)
          : html(
            SendPages.uploaded(
              Words.of(request),
              seen.file,
              baseOf(request),
              seen.now,
              plans.get(seen.file.plan).directDownload,
              tokenFor(request, seen.file)
            ),
            200
          )
    )
      .pipe(refuse, page)
  )
  // The button of a browser without the script.
  yield* router.add(
    "POST",
    "/uploaded/:key",
    (request) =>
      authenticate(request, false, () =>
        refuse(Effect.gen(function*() {
          const { key = "" } = yield* HttpRouter.params
          const token = Sender.tokenOf(request)
          if (!isKey(key) || token === undefined) return yield* Refusal.notFound(key)
          yield* remove(request, "", key, token)
          return html(SendPages.deleted(Words.of(request)), 200)
        })))
  )
  yield* router.add(
    "GET",
    "/assets/:name",
    Effect.gen(function*() {
      const { name = "" } = yield* HttpRouter.params
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      const asset = Assets.find(name, headers["accept-encoding"])
      if (asset === undefined) return yield* Effect.fail(Refusal.noRoute("GET"))
      return HttpServerResponse.uint8Array(asset.bytes, {
        contentType: asset.type,
        headers: {
          // The name contains a hash of the content.
          "cache-control": "public, max-age=31536000, immutable",
          "vary": "accept-encoding",
          ...(asset.encoding === undefined ? {} : { "content-encoding": asset.encoding }),
          ...guard
        }
      })
    }).pipe(refuse)
  )
}))
