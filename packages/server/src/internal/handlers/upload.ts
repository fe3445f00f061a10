/** The calls that take a body: upload, update and replace. */
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as ParseUpload from "../http/parseUpload.ts"
import { Settings } from "../http/settings.ts"
import * as Browser from "../web/browser.ts"
import * as DeleteToken from "./deleteToken.ts"
import * as Responses from "./responses.ts"
import type { Storing } from "./storing.ts"

type Request = HttpServerRequest.HttpServerRequest
type Query = typeof FileSettings.FileSettingsFromFields.Type

export const make = Effect.fnUntraced(function*({ changed, limits, store }: Storing) {
  const { details } = yield* Responses.make
  const { baseOf } = yield* Settings
  const newToken = DeleteToken.make(yield* SecureRandom.SecureRandom)

  const receive = Effect.fnUntraced(function*(
    request: Request,
    owner: string,
    freed: number,
    query: Query,
    names: ParseUpload.Names
  ) {
    const declared = Number(request.headers["content-length"] ?? 0)
    const most = yield* limits(owner, declared, freed)
    return yield* ParseUpload.receive(ParseUpload.bodyOf(request), most, query, names)
  })

  const upload = Effect.fnUntraced(function*(request: Request, owner: string, query: Query, name?: string) {
    const received = yield* receive(request, owner, 0, query, { path: name })
    const token = yield* newToken
    const record = yield* store(request, owner, { _tag: "new", name }, received, { token })
    return Browser.isBrowser(request)
      ? Browser.uploaded(record.key, token, baseOf(request))
      : details(request, record, token)
  }, Effect.scoped)

  const change = Effect.fnUntraced(function*(
    request: Request,
    owner: string,
    key: string,
    query: Query,
    resets: boolean
  ) {
    const old = yield* changed(owner, key)
    const received = yield* receive(request, owner, old.size, query, { present: old.name })
    return details(request, yield* store(request, owner, { _tag: "change", key, resets }, received))
  }, Effect.scoped)

  return { upload, change }
})
