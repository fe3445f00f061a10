/**
 * The calls of the contract, each at its declared method and path. They are routed without `HttpApiBuilder`: handlers make
 * complete responses here, and the rest of the builder's work takes longer than a small call.
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
import { Catalog } from "../../Catalog.ts"
import * as DeleteToken from "../handlers/deleteToken.ts"
import * as Handlers from "../handlers/handlers.ts"
import type { Target } from "../handlers/storing.ts"
import * as Anonymous from "../http/anonymous.ts"
import * as ParseUpload from "../http/parseUpload.ts"
import * as Refusal from "../http/refusal.ts"
import { Settings } from "../http/settings.ts"
import * as UploadFields from "../http/uploadFields.ts"
import { isKey, isOwnKey } from "../shared/key.ts"
import * as Authentication from "./authentication.ts"
import * as Problem from "./problem.ts"

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

const settingsQuery = queryOf(HttpServerRequest.schemaSearchParams(FileSettings.FileSettingsFromFields))
const listQuery = queryOf(HttpServerRequest.schemaSearchParams(Schema.Struct(FileIoApi.ListQuery)))

/** The key in the path; an impossible key is a missing file. */
const withKey = <E, R>(handle: (key: FileKey.FileKey) => Handled<E, R>) =>
  Effect.flatMap(
    HttpRouter.params,
    ({ key }): Handled<E | Refusal.Refusal, R> => isKey(key) ? handle(key) : Effect.fail(Refusal.notFound())
  )

/**
 * Whether a PUT names a new file, as `curl -T photo.jpg https://host/` does. A text in the form of a key names an existing
 * file, unless it cannot be a key of this server and the body is a file: `curl -T README https://host/`.
 */
const isName = (request: HttpServerRequest.HttpServerRequest, text: string, hasShards: boolean): boolean =>
  !isKey(text) || (!isOwnKey(text, hasShards) && ParseUpload.isRaw(request))

/** Handles a call; an empty owner means no key. */
type Handler = (
  request: HttpServerRequest.HttpServerRequest,
  owner: string
) => Handled<Problem.Problem, Blobs | HttpRouter.RouteContext | HttpServerRequest.ParsedSearchParams | Scope.Scope>

export const routes = HttpRouter.use(Effect.fnUntraced(function*(router) {
  const authenticate = yield* Authentication.make
  const { anonymous } = yield* Settings
  const hasShards = (yield* Catalog).shards !== undefined
  const { refuse } = yield* Problem.make
  const { change, download, header, list, me, remove, resumable, status, upload } = yield* Handlers.make

  /** Begins a resumable upload where the request asks for one and this server can. */
  const receive = Effect.fnUntraced(function*<E, R>(
    request: HttpServerRequest.HttpServerRequest,
    owner: string,
    target: Target,
    otherwise: (query: typeof FileSettings.FileSettingsFromFields.Type) => Handled<E, R>
  ) {
    const query = yield* settingsQuery
    if (!(yield* Effect.fromResult(UploadFields.begins(request.headers)))) return yield* otherwise(query)
    if (resumable !== undefined) return yield* resumable.create(request, owner, target, query)
    return UploadFields.read(request.headers).isLast === true
      ? yield* otherwise(query)
      : yield* Refusal.unknownVersion
  })

  const uploadNamed = (name?: string): Handler => (request, owner) =>
    receive(request, owner, { _tag: "new", name }, (query) => upload(request, owner, query, name))

  const changeOf = (resets: boolean): Handler => (request, owner) =>
    withKey((key) =>
      receive(request, owner, { _tag: "change", key, resets }, (query) => change(request, owner, key, query, resets))
    )

  // A declared endpoint without a handler does not compile.
  const handlers: { readonly [Name in keyof typeof endpoints]: Handler } = {
    upload: uploadNamed(),
    list: (request, owner) => Effect.flatMap(listQuery, (query) => list(request, owner, query)),
    me: (_request, owner) => me(owner),
    download: (request) => withKey((key) => download(request, key)),
    replace: changeOf(true),
    update: changeOf(false),
    delete: (request, owner) => withKey((key) => remove(request, owner, key))
  }

  const isKeyNeeded = (name: keyof typeof endpoints): boolean =>
    (endpoints[name].middlewares as ReadonlySet<unknown>).has(FileIoApi.Authentication) ||
    ((name === "upload" || name === "download") && Anonymous.needsKey(anonymous, name))

  /** A deletion with the token of the file, which takes the place of a key. */
  const isTakenBack = (request: HttpServerRequest.HttpServerRequest, name: keyof typeof endpoints): boolean =>
    name === "delete" && DeleteToken.of(request) !== undefined

  const handle = (request: HttpServerRequest.HttpServerRequest, name: keyof typeof endpoints, handler: Handler) =>
    authenticate(request, isKeyNeeded(name) && !isTakenBack(request, name), (account = "") => {
      // A client that has seen it need not ask whether an upload can be resumed.
      if (name !== "download" && name !== "delete") resumable?.advertise(request, account)
      return refuse(handler(request, account))
    })

  for (const name of Struct.keys(handlers)) {
    const { method, path } = endpoints[name]
    if (name !== "replace") yield* router.add(method, path, (request) => handle(request, name, handlers[name]))
  }
  yield* router.add(
    endpoints.replace.method,
    endpoints.replace.path,
    (request) =>
      Effect.flatMap(HttpRouter.params, ({ key = "" }) =>
        isName(request, key, hasShards)
          ? handle(request, "upload", uploadNamed(key))
          : handle(request, "replace", handlers.replace))
  )
  yield* router.add("GET", "/status/:key", (request) =>
    authenticate(
      request,
      // The token of a file is enough; without it, this says no more than the page of the file.
      DeleteToken.of(request) === undefined && Anonymous.needsKey(anonymous, "download"),
      () => refuse(withKey((key) => status(request, key)))
    ))
  yield* router.add(
    "GET",
    "/header/:key",
    (request) => authenticate(request, Anonymous.needsKey(anonymous, "download"), () => refuse(withKey(header)))
  )
  if (resumable !== undefined) {
    const { head, options, patch, remove } = resumable
    for (const path of [endpoints.upload.path, endpoints.replace.path, "/uploads/:upload"] as const) {
      yield* router.add(
        "OPTIONS",
        path,
        (request) => authenticate(request, false, (account) => Effect.succeed(options(request, account ?? "")))
      )
    }
    const onUpload = (
      method: "GET" | "PATCH" | "DELETE",
      handle: (
        request: HttpServerRequest.HttpServerRequest,
        id: string,
        account: string | undefined
      ) => ReturnType<Handler>
    ) =>
      router.add(
        method,
        "/uploads/:upload",
        (request) =>
          authenticate(request, isKeyNeeded("upload"), (account) =>
            refuse(Effect.flatMap(HttpRouter.params, ({ upload = "" }) =>
              handle(request, upload, account))))
      )
    // The router gives HEAD to it.
    yield* onUpload("GET", head)
    yield* onUpload("PATCH", patch)
    yield* onUpload("DELETE", (_request, id, account) => remove(id, account))
  }
  yield* router.add("PUT", endpoints.upload.path, (request) => handle(request, "upload", handlers.upload))
}))
