import * as Effect from "effect/Effect"
import { Report } from "../report.ts"
import type { Runner } from "../services.ts"
import * as Settings from "../settings.ts"

export const run: Runner<{}> = Effect.fnUntraced(function*() {
  const report = yield* Report
  yield* report.text(`${yield* Settings.filePath}\n`)
})
