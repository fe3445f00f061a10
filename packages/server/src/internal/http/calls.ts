/**
 * The calls of the contract, each at the method and path that its declaration has. They are routed without `HttpApiBuilder`:
 * every answer here is made whole by its handler, and what the builder does besides takes longer than a small call.
 */
import * as FileIoApi from "@effect-fileio/core/FileIoApi"
import type * as FileKey from "@effect-fileio/core/FileKey"
import * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schema from "effect/Schema"
import * as Handlers from "../handlers/handlers.ts"
import { isKey } from "../shared/key.ts"
import * as Authentication from "./authentication.ts"
import * as Refusal from "./refusal.ts"

const { endpoints } = FileIoApi.FilesGroup

/** `Expected a number at ["limit"]` as `limit: Expected a number`. */
const oneLine = (text: string): string => {
  const [, problem, field] = /^(.*)\n\s*at \["(\w{1,40})"\]/.exec(text) ?? [undefined, text, undefined]
  return (field === undefined ? problem! : `${field}: ${problem}`).replace(/\s+/g, " ").slice(0, 300)
}

type Handled<E, R> = Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>

/** The query of a call, as the contract declares it. */
const queryOf = <A, R>(read: Effect.Effect<A, Schema.SchemaError, R>) =>
  Effect.mapError(read, (error) => Refusal.invalid(oneLine(error.message)))

const uploadQuery = queryOf(HttpServerRequest.schemaSearchParams(FileSettings.FileSettingsFromFields))
const listQuery = queryOf(HttpServerRequest.schemaSearchParams(Schema.Struct(FileIoApi.ListQuery)))

/** The key in the path; what can be no key is no file. */
const withKey = <E, R>(handle: (key: FileKey.FileKey) => Handled<E, R>, otherwise = Refusal.notFound()) =>
  Effect.flatMap(
    HttpRouter.params,
    ({ key }): Handled<E | Refusal.Refusal, R> => isKey(key) ? handle(key) : Effect.fail(otherwise)
  )

export const routes = HttpRouter.use(Effect.fnUntraced(function*(router) {
  const authenticate = yield* Authentication.make
  const { change, download, list, me, refuse, remove, upload } = yield* Handlers.make

  type Endpoint = (typeof endpoints)[keyof typeof endpoints]
  const call = <R>(
    { method, middlewares, path }: Endpoint,
    handle: (request: HttpServerRequest.HttpServerRequest, owner: string) => Handled<Handlers.Problem, R>
  ) => {
    const isKeyNeeded = (middlewares as ReadonlySet<unknown>).has(FileIoApi.Authentication)
    return router.add(
      method,
      path,
      (request) => authenticate(request, isKeyNeeded, (account) => refuse(handle(request, account ?? "")))
    )
  }

  yield* call(
    endpoints.upload,
    (request, owner) => Effect.flatMap(uploadQuery, (query) => upload(request, owner, query))
  )
  yield* call(endpoints.list, (_request, owner) => Effect.flatMap(listQuery, (query) => list(owner, query)))
  yield* call(endpoints.me, (_request, owner) => me(owner))
  yield* call(endpoints.download, (request) => withKey((key) => download(request, key)))
  yield* call(
    endpoints.replace,
    (request, owner) => withKey((key) => change(request, owner, key, true), Refusal.noRoute("PUT"))
  )
  yield* call(endpoints.update, (request, owner) => withKey((key) => change(request, owner, key, false)))
  yield* call(endpoints.delete, (_request, owner) => withKey((key) => remove(owner, key)))
}))
