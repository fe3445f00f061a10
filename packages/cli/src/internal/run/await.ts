import type * as FileIo from "@effect-fileio/client/FileIo"
import * as Variable from "@effect-fileio/core/Variable"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as JsonLine from "../../JsonLine.ts"
import { Problem, usage } from "../problem.ts"
import { Report } from "../report.ts"
import type { Runner } from "../services.ts"
import * as Session from "../session.ts"

const WORDS = { Available: "waiting", Downloaded: "downloaded", Expired: "expired" } as const

/** Some hosts also report how many downloads began; those not counted are broken or still running. */
const downloadsOf = ({ file }: FileIo.FileState): string => {
  const downloads = file.downloads ?? 0
  const unfinished = (file.attempts ?? 0) - downloads
  return `${downloads} of ${file.maxDownloads == null ? "any number of" : file.maxDownloads} downloads` +
    (unfinished > 0 ? `, ${unfinished} begun but not finished` : "")
}

export const run: Runner<{ readonly key: string; readonly every: string }> = Effect.fnUntraced(
  function*({ every, key }) {
    const report = yield* Report
    const pause = Variable.duration(every)
    if (Result.isFailure(pause)) return yield* usage("invalid --every", `Allowed: ${pause.failure}.`)
    if (Duration.isLessThan(pause.success, Duration.seconds(1))) {
      return yield* usage("invalid --every", "Allowed: at least 1s.")
    }
    const session = yield* Session.make("many")
    const { fileIo } = yield* session.open(key)
    const states = fileIo.awaitDownloaded(key, { every: pause.success }).pipe(
      Stream.tap((state) => {
        const { file } = state
        const isEnd = state._tag !== "Available"
        return Effect.andThen(
          report.result(
            {
              v: JsonLine.VERSION,
              type: "state",
              key: file.key,
              state: WORDS[state._tag],
              ...(file.downloads === undefined ? {} : { downloads: file.downloads }),
              ...(file.maxDownloads === undefined ? {} : { maxDownloads: file.maxDownloads }),
              ...(file.attempts === undefined ? {} : { attempts: file.attempts })
            },
            isEnd ? WORDS[state._tag] : ""
          ),
          isEnd || report.flags.json ? Effect.void : report.note(`waiting: ${downloadsOf(state)}`)
        )
      })
    )
    const last = yield* Stream.runLast(states)
    if (Option.isSome(last) && last.value._tag === "Expired") {
      return yield* new Problem({
        exitCode: 3,
        reason: "Expired",
        what: "it expired before it was taken",
        advice: "Send it again with a longer --expires."
      })
    }
  }
)
