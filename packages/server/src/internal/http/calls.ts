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
import type * as Scope from "effect/Scope"
import * as Struct from "effect/Struct"
import type { Blobs } from "../../Blobs.ts"
import * as Handlers from "../handlers/handlers.ts"
import { isKey } from "../shared/key.ts"
import * as Anonymous from "./anonymous.ts"
import * as Authentication from "./authentication.ts"
import * as Refusal from "./refusal.ts"
import { Settings } from "./settings.ts"

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

/** Answers a call; an empty owner stands for everybody without a key. */
type Handler = (
  request: HttpServerRequest.HttpServerRequest,
  owner: string
) => Handled<Handlers.Problem, Blobs | HttpRouter.RouteContext | HttpServerRequest.ParsedSearchParams | Scope.Scope>

export const routes = HttpRouter.use(Effect.fnUntraced(function*(router) {
  const authenticate = yield* Authentication.make
  const { anonymous } = yield* Settings
  const { change, download, list, me, refuse, remove, upload } = yield* Handlers.make

  // An endpoint that the contract declares and nobody handles here does not compile.
  const handlers: { readonly [Name in keyof typeof endpoints]: Handler } = {
    upload: (request, owner) => Effect.flatMap(uploadQuery, (query) => upload(request, owner, query)),
    list: (_request, owner) => Effect.flatMap(listQuery, (query) => list(owner, query)),
    me: (_request, owner) => me(owner),
    download: (request) => withKey((key) => download(request, key)),
    replace: (request, owner) => withKey((key) => change(request, owner, key, true), Refusal.noRoute("PUT")),
    update: (request, owner) => withKey((key) => change(request, owner, key, false)),
    delete: (_request, owner) => withKey((key) => remove(owner, key))
  }

  for (const name of Struct.keys(handlers)) {
    const { method, middlewares, path } = endpoints[name]
    const isKeyNeeded = (middlewares as ReadonlySet<unknown>).has(FileIoApi.Authentication) ||
      ((name === "upload" || name === "download") && Anonymous.needsKey(anonymous, name))
    yield* router.add(
      method,
      path,
      (request) => authenticate(request, isKeyNeeded, (account) => refuse(handlers[name](request, account ?? "")))
    )
  }
}))
