/** The command `download`: checks its arguments, saves or prints the files, and reports where they are. */
import type * as FileTransfer from "@effect-fileio/client/FileTransfer"
import type * as Progress from "@effect-fileio/client/Progress"
import * as FileKey from "@effect-fileio/core/FileKey"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as JsonLine from "../../JsonLine.ts"
import * as Again from "../again.ts"
import * as Encryption from "../encryption.ts"
import { fromError, local, Problem, usage } from "../problem.ts"
import { finish, Report } from "../report.ts"
import { type Runner, toProblem } from "../services.ts"
import * as Session from "../session.ts"
import * as SpecialFiles from "../specialFiles.ts"
import { Stdio } from "../stdio.ts"
import * as Text from "../text.ts"

interface Input extends Encryption.DecryptInput {
  readonly keys: ReadonlyArray<string>
  readonly output: string | undefined
  readonly overwrite: boolean
  readonly number: boolean
  readonly resume: boolean
}

const targetOf = Effect.fnUntraced(function*(output: string | undefined) {
  const fs = yield* FileSystem.FileSystem
  if (output === undefined) return { directory: "." } satisfies FileTransfer.Target
  if (output.endsWith("/") || output.endsWith((yield* Path.Path).sep)) {
    return { directory: output } satisfies FileTransfer.Target
  }
  const info = yield* Effect.option(fs.stat(output))
  return info._tag === "Some" && info.value.type === "Directory" ? { directory: output } : { path: output }
})

/** A destination that takes the bytes as they arrive: standard output, a device or a pipe. */
interface Through {
  /** Its name in messages. */
  readonly label: string
  /** Its name in results. */
  readonly path: string
  readonly open: Effect.Effect<SpecialFiles.Sink, Problem, Scope.Scope>
}

const throughOf = Effect.fnUntraced(function*(output: string | undefined) {
  const { stdout } = yield* Stdio
  if (output === undefined) return undefined
  const kind = output === "-" ? undefined : SpecialFiles.kindOf(output)
  if (output === "-" || (kind !== undefined && SpecialFiles.descriptorOf(output) === 1)) {
    return { label: "standard output", path: "-", open: Effect.succeed(stdout) } satisfies Through
  }
  if (kind === undefined) return undefined
  if (typeof kind !== "string") return yield* kind
  return { label: output, path: output, open: SpecialFiles.open(output, kind) } satisfies Through
})

/** The command that repeats a download, without the secret of its link: the placeholder stands for the link as given. */
const againOf = (keyOrLink: string, { keys: _keys, resume: _resume, ...flags }: Input) => {
  const shown = FileKey.withoutFragment(keyOrLink)
  return Again.command("download", shown === keyOrLink ? shown : `${shown}#…`, { ...flags })
}

/** How far a download has come, for the report if it is stopped. */
interface Stage {
  at: "local" | "asked" | "given"
  last: Progress.Progress | undefined
  /** Looks for a part file in the folder. */
  pending: Effect.Effect<FileTransfer.PendingDownload | undefined>
}

const fateOf = Effect.fnUntraced(function*(stage: Stage, again: string) {
  const { at, last } = stage
  if (at === "local") {
    return { what: "stopped before the request", advice: "The file is still on the host.", details: KEPT }
  }
  const pending = yield* stage.pending
  const unknown = "Whether the host still has the file is unknown."
  if (pending !== undefined) {
    return {
      what: `stopped after ${Text.bytes(pending.bytes)} of ${Text.bytes(pending.size)}`,
      advice: `${unknown} The received bytes are in ${pending.path}; resume soon: ${again}`,
      details: {
        copy: "unknown" as const,
        bytesDone: pending.bytes,
        bytesExpected: pending.size,
        parts: [pending.path]
      }
    }
  }
  return {
    what: at === "asked" ? "stopped before the host had responded" : `stopped after ${Text.bytes(last?.bytes ?? 0)}`,
    advice: `${unknown} Try again in a while: ${again}`,
    details: { copy: "unknown" as const, bytesDone: last?.bytes ?? 0 }
  }
})

const KEPT = { copy: "kept" as const }

/** The keys and links; `-` stands for the lines of standard input, where other programs do not see them. */
const linksOf = Effect.fnUntraced(function*(keys: ReadonlyArray<string>) {
  if (!keys.includes("-")) return keys
  const { stdin } = yield* Stdio
  const given = yield* Stream.mkString(Stream.decodeText(stdin.bytes)).pipe(
    Effect.mapError((cause) => local("standard input cannot be read", "No request was made.", cause))
  )
  const lines = given.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== "")
  if (lines.length === 0) return yield* usage("standard input has no link", "Send one link on each line.")
  return keys.flatMap((key) => key === "-" ? lines : [key])
})

export const run: Runner<Input> = Effect.fnUntraced(function*(input) {
  const { number, output, overwrite, resume } = input
  const report = yield* Report
  if (overwrite && number) return yield* usage("--overwrite and --number exclude each other", "Leave one of them out.")
  const through = yield* throughOf(output)
  if (through !== undefined && (number || resume || (output === "-" && overwrite))) {
    return yield* usage(`${through.label} has no name`, "Leave --overwrite, --number and --resume out.")
  }
  const target = through === undefined ? yield* targetOf(output) : undefined
  const keys = yield* linksOf(input.keys)
  if (keys.length > 1 && target !== undefined && "path" in target) {
    return yield* usage(`${output} is no folder`, "Give a folder for several files. No copy was used up.")
  }
  const decryption = yield* Encryption.forDownload(input, keys, input.keys.includes("-"))
  const session = yield* Session.make(keys.length === 1 ? "one" : "many")
  const failures: Array<Problem> = []

  const download = Effect.fnUntraced(function*(keyOrLink: string) {
    const stage: Stage = { at: "local", last: undefined, pending: Effect.undefined }
    const shown = FileKey.withoutFragment(keyOrLink)
    const again = yield* againOf(keyOrLink, input)
    yield* report.remember({ subject: shown, describe: Effect.suspend(() => fateOf(stage, again)) })
    const { fileIo, transfer } = yield* session.open(keyOrLink)
    if (target !== undefined) {
      stage.pending = Effect.match(transfer.pending(keyOrLink, target), {
        onFailure: () => undefined,
        onSuccess: Option.getOrUndefined
      })
    }
    if (resume && target !== undefined && (yield* stage.pending) === undefined) {
      return yield* new Problem({
        exitCode: 8,
        reason: "Local",
        what: "there is nothing to resume: the folder has no part of it",
        advice: "No request was made. Leave --resume out to download the file from its start.",
        details: KEPT
      })
    }
    const track = yield* report.view.track(output === undefined || through?.path === "-" ? shown : output, "asking")
    const onProgress: Progress.Listener = (progress) => {
      stage.at = "given"
      stage.last = progress
      return track.listener(progress)
    }
    const received = through !== undefined
      ? passOn(through, fileIo.download(keyOrLink, { ...decryption, onProgress }))
      : transfer.downloadFile(keyOrLink, target!, {
        ...decryption,
        onProgress,
        onCollision: overwrite ? "overwrite" : number ? "number" : undefined
      })
    return yield* received.pipe(
      Effect.provideService(Session.CurrentOnSent, () => {
        if (stage.at === "local") stage.at = "asked"
      }),
      Effect.tap(track.end("done")),
      Effect.onError(() => track.end("failed")),
      Effect.catchTag("FileIoError", (error) => Effect.fail(fromError(error, () => again)))
    )
  }, Effect.scoped)

  const passOn = Effect.fnUntraced(function*(
    { label, open, path }: Through,
    begin: ReturnType<Session.Client["fileIo"]["download"]>
  ) {
    if (path === "-") yield* report.giveStdoutAway
    const sink = yield* open
    const { key, name, stream } = yield* begin
    let bytes = 0
    yield* Stream.runForEach(stream, (chunk) => {
      bytes += chunk.length
      return sink.write(chunk)
    }).pipe(
      Effect.andThen(sink.finish),
      Effect.catchTag("OutputClosed", (error) =>
        Effect.fail(
          new Problem({
            exitCode: 9,
            reason: "Local",
            what: `${label} ${error.code === "EPIPE" ? "was closed" : "failed"} after ${
              Text.bytes(bytes)
            } (${error.code})`,
            advice: "Whether the host still has the file is unknown. Ask the sender to share it again if it does not.",
            details: { copy: "unknown", bytesDone: bytes },
            cause: error.cause
          })
        ))
    )
    return { path, name, key, bytes }
  }, Effect.scoped)

  yield* Effect.forEach(keys, (keyOrLink) =>
    download(keyOrLink).pipe(
      Effect.flatMap(({ bytes, key, name, path }) =>
        report.result(
          { v: JsonLine.VERSION, type: "downloaded", key, path, name, bytes },
          path === "-" ? "" : path
        ).pipe(Effect.mapError(({ cause, code }) =>
          local(
            `it is saved as ${path}, but its path could not be written to standard output (${code})`,
            "Check the destination of the output.",
            cause
          )
        ))
      ),
      Effect.catch((error) => {
        const problem = toProblem(error)
        failures.push(problem)
        return report.problem(problem, FileKey.withoutFragment(keyOrLink))
      })
    ), { discard: true })
  yield* finish(failures)
})
