import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as FileKey from "@effect-fileio/core/FileKey"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as JsonLine from "../../JsonLine.ts"
import * as DeleteTokens from "../deleteTokens.ts"
import { local, type Problem, usage } from "../problem.ts"
import { finish, Report } from "../report.ts"
import { type Runner, toProblem } from "../services.ts"
import * as Session from "../session.ts"
import { Stdio } from "../stdio.ts"
import * as Text from "../text.ts"

interface Input {
  readonly keys: ReadonlyArray<string>
  readonly yes: boolean
  readonly tokenStdin: boolean
}

/** The longest token on standard input, in characters. */
const MAX_TOKEN = 4096

/** The token that the caller gives: on standard input, or in the variable. */
const givenToken = Effect.fnUntraced(function*({ keys, tokenStdin }: Input) {
  const { env, stdin } = yield* Stdio
  const variable = tokenStdin ? undefined : env["FILEIO_DELETE_TOKEN"]?.trim() || undefined
  if (!tokenStdin && variable === undefined) return undefined
  if (keys.length > 1) {
    return yield* usage("a deletion token is of one file", "Nothing was deleted. Delete the files one by one.")
  }
  const text = variable ?? (yield* stdin.isTerminal
    ? Effect.orElseSucceed(stdin.ask("Deletion token (not shown): ", true), () => "")
    : Stream.mkString(Stream.decodeText(stdin.bytes)).pipe(
      Effect.mapError((cause) => local("standard input cannot be read", "Nothing was deleted.", cause))
    ))
  const token = text.trim()
  if (token.length > MAX_TOKEN || !/^[\x21-\x7E]+$/.test(token)) {
    return yield* usage("a deletion token is one word of printable ASCII", "Nothing was deleted. Copy it again.")
  }
  return Redacted.make(token)
})

const confirm = Effect.fnUntraced(function*({ keys, yes }: Input) {
  const { stderr, stdin } = yield* Stdio
  if (yes) return
  if (!stdin.isTerminal || !stderr.isTerminal) {
    return yield* usage(
      "there is no terminal to ask for confirmation",
      "Nothing was deleted. Give --yes to delete without being asked."
    )
  }
  const answer = yield* Effect.orElseSucceed(
    stdin.ask(`Delete ${Text.plural(keys.length, "file")} from the host? [y/N] `, false),
    () => ""
  )
  if (!/^y(?:es)?$/i.test(answer.trim())) return yield* usage("not confirmed", "Nothing was deleted.")
})

const isGone = (error: unknown): boolean =>
  error instanceof FileIoError.FileIoError && error.reason._tag === "FileNotFound"

export const run: Runner<Input> = Effect.fnUntraced(
  function*(input) {
    const { keys } = input
    const report = yield* Report
    yield* confirm(input)
    const given = yield* givenToken(input)
    const session = yield* Session.make(keys.length === 1 ? "one" : "many")
    const failures: Array<Problem> = []
    for (const keyOrLink of keys) {
      yield* Effect.gen(function*() {
        const { baseUrl, fileIo } = yield* session.open(keyOrLink)
        const key = Result.match(FileKey.parse(keyOrLink), {
          onFailure: () => FileKey.withoutFragment(keyOrLink),
          onSuccess: ({ key }) => key
        })
        const kept = given === undefined ? yield* DeleteTokens.find(key, baseUrl) : undefined
        const forget = kept?.forget ?? Effect.void
        yield* fileIo.delete(keyOrLink, { token: given ?? kept?.token }).pipe(
          Effect.tap(forget),
          Effect.tapError((error) => isGone(error) ? forget : Effect.void)
        )
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
