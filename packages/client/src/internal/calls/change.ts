/** The calls that change a file: `update` keeps settings that are not given (PATCH), `replace` resets them (PUT). */
import * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { UpdateOptions } from "../../FileIoModels.ts"
import * as Span from "../observe/span.ts"
import * as Outgoing from "../request/outgoing.ts"
import * as Encrypted from "./encrypted.ts"
import { readStored, submit } from "./jsonCall.ts"
import { callOf, type Client, invalid, parseLink, parseSettings, relinked, requireKey } from "./shared.ts"
import type { UploadLimits } from "./uploadLimits.ts"

const change = /* @__PURE__ */ Effect.fnUntraced(function*(
  client: Client,
  plan: UploadLimits,
  operation: "update" | "replace",
  keyOrLink: string,
  options: UpdateOptions
) {
  yield* requireKey(client, operation)
  const link = yield* parseLink(operation, keyOrLink)
  const { encryption, file: given, onProgress, ...input } = options
  if (given === undefined && encryption !== undefined) {
    return yield* invalid(operation, "encryption", "only new content can be encrypted; give it as file")
  }
  const encrypted = given === undefined ? undefined : yield* Encrypted.prepare(client, operation, given, encryption)
  const file = encrypted?.body
  const settings = yield* parseSettings(operation, input, yield* Clock.currentTimeMillis)
  const fields = FileSettings.toFields(settings)
  if (operation === "update" && file === undefined && Object.keys(fields).length === 0) {
    return yield* invalid(operation, "options", "nothing to change; give a file or a setting")
  }
  if (file !== undefined) yield* plan.check(operation, file.size, settings)
  const tally = Outgoing.makeTally()
  const changed = yield* submit(
    client,
    {
      call: callOf(client, operation, link),
      method: operation === "update" ? "PATCH" : "PUT",
      path: `/${link.key}`,
      read: readStored(file, tally)
    },
    { body: file, fields, onProgress, tally }
  )
  return encrypted === undefined ? relinked(changed, link) : encrypted.linked(changed)
})

export const makeUpdate = (client: Client, plan: UploadLimits) =>
  Span.fn(
    "FileIo.update",
    "update",
    (keyOrLink: string, options: UpdateOptions) => change(client, plan, "update", keyOrLink, options)
  )

export const makeReplace = (client: Client, plan: UploadLimits) =>
  Span.fn(
    "FileIo.replace",
    "replace",
    (keyOrLink: string, options: UpdateOptions) => change(client, plan, "replace", keyOrLink, options)
  )
