import * as FileKey from "@effect-fileio/core/FileKey"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as JsonLine from "../../JsonLine.ts"
import { type Problem, usage } from "../problem.ts"
import { finish, Report } from "../report.ts"
import { type Runner, toProblem } from "../services.ts"
import * as Session from "../session.ts"
import { Stdio } from "../stdio.ts"
import * as Text from "../text.ts"

export const run: Runner<{ readonly keys: ReadonlyArray<string>; readonly yes: boolean }> = Effect.fnUntraced(
  function*({ keys, yes }) {
    const report = yield* Report
    const stdio = yield* Stdio
    if (!yes) {
      if (!stdio.stdin.isTerminal || !stdio.stderr.isTerminal) {
        return yield* usage(
          "there is no terminal to ask for confirmation",
          "Nothing was deleted. Give --yes to delete without being asked."
        )
      }
      const answer = yield* Effect.orElseSucceed(
        stdio.stdin.ask(`Delete ${Text.plural(keys.length, "file")} from the host? [y/N] `, false),
        () => ""
      )
      if (!/^y(?:es)?$/i.test(answer.trim())) return yield* usage("not confirmed", "Nothing was deleted.")
    }
    const session = yield* Session.make(keys.length === 1 ? "one" : "many")
    const failures: Array<Problem> = []
    for (const keyOrLink of keys) {
      yield* Effect.gen(function*() {
        const { fileIo } = yield* session.open(keyOrLink)
        yield* fileIo.delete(keyOrLink)
        const key = Result.match(FileKey.parse(keyOrLink), {
          onFailure: () => FileKey.withoutFragment(keyOrLink),
          onSuccess: ({ key }) => key
        })
        yield* report.result({ v: JsonLine.VERSION, type: "deleted", key }, "")
        if (!report.flags.json) yield* report.note(`deleted ${key}`)
      }).pipe(Effect.catch((error) => {
        const problem = toProblem(error)
        failures.push(problem)
        return report.problem(problem, FileKey.withoutFragment(keyOrLink))
      }))
    }
    yield* finish(failures)
  }
)
