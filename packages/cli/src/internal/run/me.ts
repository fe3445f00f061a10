import type { Account } from "@effect-fileio/core/Account"
import * as Effect from "effect/Effect"
import * as JsonLine from "../../JsonLine.ts"
import { Report } from "../report.ts"
import type { Runner } from "../services.ts"
import * as Session from "../session.ts"
import * as Text from "../text.ts"

const BAR_COLUMNS = 30

const storage = ({ maxStorageBytes, usedStorageBytes }: Account): string => {
  if (usedStorageBytes == null) return "not reported"
  if (maxStorageBytes == null) return Text.bytes(usedStorageBytes)
  const share = maxStorageBytes === 0 ? 1 : usedStorageBytes / maxStorageBytes
  const percent = share > 0 && share < 0.01 ? "< 1 %" : `${Math.floor(share * 100)} %`
  return `${Text.bar(share, BAR_COLUMNS)} ${percent}, ${Text.bytes(usedStorageBytes)} of ${Text.bytes(maxStorageBytes)}`
}

const orUnknown = (value: number | null | undefined, words: (value: number) => string): string =>
  value == null ? "not reported" : words(value)

export const run: Runner<{}> = Effect.fnUntraced(function*() {
  const report = yield* Report
  const session = yield* Session.make("one")
  const { baseUrl, fileIo } = yield* session.open()
  const account = yield* fileIo.me
  const { directDownload, maxStorageBytes, maxUploadBytes, planId, rateLimit, usedStorageBytes } = account
  const rows = [
    ["host", baseUrl],
    ["plan", planId == null ? "not reported" : String(planId)],
    ["storage", storage(account)],
    ["largest file", orUnknown(maxUploadBytes, Text.bytes)],
    ["rate limit", orUnknown(rateLimit, (limit) => `${Text.plural(limit, "call")} a second`)],
    ["direct download", directDownload === undefined ? "not reported" : directDownload ? "yes" : "no"]
  ] as const
  yield* report.result(
    {
      v: JsonLine.VERSION,
      type: "account",
      ...(planId === undefined ? {} : { planId }),
      ...(maxUploadBytes === undefined ? {} : { maxUploadBytes }),
      ...(maxStorageBytes === undefined ? {} : { maxStorageBytes }),
      ...(usedStorageBytes === undefined ? {} : { usedStorageBytes }),
      ...(rateLimit === undefined ? {} : { rateLimit }),
      ...(directDownload === undefined ? {} : { directDownload })
    },
    rows.map(([name, value]) => `${name.padEnd(16)}${Text.visible(value)}`).join("\n")
  )
})
