/** The first request of a resumable upload, as the catalog stores it: what its bytes are, and where they go. */
import * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Schema from "effect/Schema"
import * as ParseUpload from "../http/parseUpload.ts"
import type * as Refusal from "../http/refusal.ts"
import type { Target } from "./storing.ts"

const FirstRequest = Schema.fromJsonString(Schema.Struct({
  target: Schema.Union([
    Schema.TaggedStruct("new", { name: Schema.optionalKey(Schema.String) }),
    Schema.TaggedStruct("change", { key: Schema.String, resets: Schema.Boolean })
  ]),
  query: FileSettings.FileSettingsFromFields,
  /** The type of the form that the bytes are; absent if they are the file itself. */
  form: Schema.optionalKey(Schema.String),
  /** The name and the type of the file, if the bytes are the file itself. */
  name: Schema.String,
  mimeType: Schema.String
}))
export type FirstRequest = typeof FirstRequest.Type
export type Query = FirstRequest["query"]

const encodeRequest = Schema.encodeEffect(FirstRequest)
const decodeRequest = Schema.decodeEffect(FirstRequest)
export const encode = (first: FirstRequest) => Effect.orDie(encodeRequest(first))
export const decode = (text: string) => Effect.orDie(decodeRequest(text))

/** Whether the bytes of an upload are a form. */
export const isForm = (request: HttpServerRequest.HttpServerRequest): boolean => !ParseUpload.hasRawType(request)

/** Describes the upload that a request creates. `present` is the name of the file that it changes. */
export const of = Effect.fnUntraced(function*(
  request: HttpServerRequest.HttpServerRequest,
  target: Target,
  query: Query,
  present: string | undefined
): Effect.fn.Return<FirstRequest, Refusal.Refusal> {
  const name = target._tag === "new" ? target.name : undefined
  const described = isForm(request)
    ? { form: request.headers["content-type"]!, name: "", mimeType: "" }
    : yield* ParseUpload.describeRaw(request, { path: name, present })
  return {
    target: target._tag === "change" ? target : name === undefined ? { _tag: "new" } : { _tag: "new", name },
    query,
    ...described
  }
})
