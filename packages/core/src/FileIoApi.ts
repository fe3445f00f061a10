/**
 * The seven calls of the API: paths, methods, fields, responses and errors. Servers implement this declaration, and the
 * OpenAPI description is made from it.
 *
 * Source: the service's OpenAPI page, live responses, and the reference client; see `docs/file-io-api.md`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { AccountFromWire } from "./Account.ts"
import { ErrorEnvelope } from "./ErrorEnvelope.ts"
import { FileDetails } from "./FileDetails.ts"
import { FileKey } from "./FileKey.ts"
import { FileListFromWire } from "./FileList.ts"
import { FileSettingsFromFields } from "./FileSettings.ts"
import * as OpenApiDetails from "./internal/openapi.ts"
import * as PlainText from "./PlainText.ts"

const refusal = <Status extends number>(status: Status, description: string) =>
  ErrorEnvelope.pipe(HttpApiSchema.status(status)).annotate({ description })

const invalid = refusal(400, "The request is wrong; the message says what is allowed")
const unauthorized = refusal(401, "The API key is missing or unknown")
const planLimit = refusal(402, "The plan does not allow the setting; `limit`, `asked` and `allowed` say which")
const notFound = refusal(404, "No such file: never there, expired, deleted, or taken already")
const tooLarge = refusal(413, "Beyond the plan's size or storage; `limit`, `asked` and `allowed` say which")
const unsupported = refusal(415, "The body is neither a form nor the bytes of a file")
const inProgress = refusal(423, "Somebody else is downloading the file; see `Retry-After`")
const tooMany = refusal(429, "Too many requests; see `Retry-After`")
const failed = refusal(500, "The host failed")
const full = refusal(507, "The host has no room")

const common = [invalid, unauthorized, tooMany, failed] as const

/**
 * The caller: the name of an account, or `undefined` without a key.
 *
 * @category services
 * @since 0.1.0
 */
export class Caller extends Context.Service<Caller, {
  readonly account: string | undefined
}>()("@effect-fileio/core/FileIoApi/Caller") {}

const security = {
  bearer: HttpApiSecurity.bearer.pipe(
    HttpApiSecurity.annotate(OpenApi.Description, "`Authorization: Bearer {apiKey}`")
  ),
  basic: HttpApiSecurity.basic.pipe(
    HttpApiSecurity.annotate(OpenApi.Description, "The API key as user name, with an empty password")
  )
}

/**
 * Requires an API key, as a bearer token or as the user name of HTTP Basic.
 *
 * @category middleware
 * @since 0.1.0
 */
export class Authentication extends HttpApiMiddleware.Service<Authentication, { provides: Caller }>()(
  "@effect-fileio/core/FileIoApi/Authentication",
  { security, error: unauthorized }
) {}

/**
 * Accepts an API key; an unknown key is refused.
 *
 * @category middleware
 * @since 0.1.0
 */
export class OptionalAuthentication extends HttpApiMiddleware.Service<OptionalAuthentication, { provides: Caller }>()(
  "@effect-fileio/core/FileIoApi/OptionalAuthentication",
  { security, error: unauthorized }
) {}

/**
 * The query of a listing in its wire form.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ListQuery = {
  search: Schema.optionalKey(PlainText.PlainText),
  sort: Schema.optionalKey(Schema.String.annotate({
    description: "A field such as `name`, `size`, `expires` or `created`; a leading `-` sorts downwards"
  })),
  offset: Schema.optionalKey(Schema.FiniteFromString.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(0))),
  limit: Schema.optionalKey(Schema.FiniteFromString.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(1))),
  after: Schema.optionalKey(Schema.String.annotate({
    description:
      "The `next` of an earlier page, to continue behind it with the same `sort` and `search`; `offset` is ignored"
  }))
}

const params = { key: FileKey }

// The schema describes the text fields; the file is only described, since the server reads it as a stream and never
// holds it.
const form = Schema.Struct({
  file: Schema.optionalKey(Schema.String.annotate({ format: "binary", description: "The file, with its name" })),
  ...FileSettingsFromFields.fields
}).pipe(HttpApiSchema.asMultipartStream({ fieldMimeTypes: [] }))

const textForm = Schema.Struct({
  text: Schema.String.annotate({ description: "Text that becomes the file" }),
  ...FileSettingsFromFields.fields
}).pipe(HttpApiSchema.asFormUrlEncoded())

/**
 * Uploads a file. Settings are form fields or query parameters; form fields take precedence.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const upload = HttpApiEndpoint.post("upload", "/", {
  query: FileSettingsFromFields.fields,
  payload: [form, textForm],
  success: FileDetails,
  error: [...common, planLimit, tooLarge, unsupported, full]
}).middleware(OptionalAuthentication).annotate(
  OpenApi.Description,
  "Uploads a file. Settings are form fields or query parameters; a form field goes first. `PUT /{name}` with the bytes of the file uploads too, as `curl -T` does; a name that could be a key, 12 letters and digits, goes in `Content-Disposition` instead."
)

/**
 * Lists the account's files, newest first.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const list = HttpApiEndpoint.get("list", "/", {
  query: ListQuery,
  success: FileListFromWire,
  error: [...common]
}).middleware(Authentication).annotate(OpenApi.Description, "Lists the files of the account, newest first.")

/**
 * The plan and the account.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const me = HttpApiEndpoint.get("me", "/me", {
  success: AccountFromWire,
  error: [...common]
}).middleware(Authentication).annotate(OpenApi.Description, "Tells the plan and the account.")

/**
 * Sends the bytes; it counts as a download once the last byte is sent. A browser may get a `302` to a page.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const download = HttpApiEndpoint.get("download", "/:key", {
  params,
  success: HttpApiSchema.StreamUint8Array(),
  error: [...common, notFound, inProgress]
}).middleware(OptionalAuthentication).annotate(
  OpenApi.Description,
  "Gives the bytes. It counts once the last byte is handed over."
)

/**
 * Changes a file, and resets settings that are not given to the default. The content stays unless a new one is given.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const replace = HttpApiEndpoint.put("replace", "/:key", {
  params,
  query: FileSettingsFromFields.fields,
  payload: [form, textForm],
  success: FileDetails,
  error: [...common, planLimit, notFound, tooLarge, unsupported, full]
}).middleware(Authentication).annotate(
  OpenApi.Description,
  "Changes a file; what is not given is reset to its default, the content stays unless a file is given."
)

/**
 * Changes a file, and keeps what is not given.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const update = HttpApiEndpoint.patch("update", "/:key", {
  params,
  query: FileSettingsFromFields.fields,
  payload: [form, textForm],
  success: FileDetails,
  error: [...common, planLimit, notFound, tooLarge, unsupported, full]
}).middleware(Authentication).annotate(OpenApi.Description, "Changes a file; what is not given is kept.")

/**
 * Deletes a file.
 *
 * @category endpoints
 * @since 0.1.0
 */
export const remove = HttpApiEndpoint.delete("delete", "/:key", {
  params,
  success: Schema.Struct({ success: Schema.Literal(true), status: Schema.Literal(200) }),
  error: [...common, notFound]
}).middleware(Authentication).annotate(
  OpenApi.Description,
  "Deletes a file of the account. On a host that has deletion tokens, the header `Delete-Token` takes the place of a key."
)

/**
 * The seven calls, as one group.
 *
 * @category groups
 * @since 0.1.0
 */
export class FilesGroup extends HttpApiGroup.make("files", { topLevel: true })
  .add(upload, list, me, download, replace, update, remove)
{}

/**
 * The API. Every JSON response also has `success: true` and `status: 200`, which decoders ignore; every error response
 * is an `ErrorEnvelope`.
 *
 * @category api
 * @since 0.1.0
 */
export class FileIoApi extends HttpApi.make("file.io")
  .add(FilesGroup)
  .annotateMerge(OpenApi.annotations({
    title: "file.io",
    version: "1.0.0",
    description: "Files that can be downloaded a set number of times and are gone then.",
    transform: OpenApiDetails.transform
  }))
{}
