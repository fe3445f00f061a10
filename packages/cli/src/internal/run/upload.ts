/** The command `upload`: checks its arguments, sends the files, and reports the results in the order of the arguments. */
import type * as FileIo from "@effect-fileio/client/FileIo"
import { CurrentPlatform } from "@effect-fileio/client/Platform"
import type { Buffers } from "@effect-fileio/client/Transport"
import * as UploadNote from "@effect-fileio/client/UploadNote"
import type { FileDetails } from "@effect-fileio/core/FileDetails"
import * as FileSettings from "@effect-fileio/core/FileSettings"
import * as NodePlatform from "@effect-fileio/platform-node/NodePlatform"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as JsonLine from "../../JsonLine.ts"
import * as Again from "../again.ts"
import * as DeleteTokens from "../deleteTokens.ts"
import * as Encryption from "../encryption.ts"
import { local, type Problem, usage } from "../problem.ts"
import { finish, Report } from "../report.ts"
import { type Runner, toProblem } from "../services.ts"
import * as Session from "../session.ts"
import * as Settings from "../settings.ts"
import * as Source from "../source.ts"
import { Stdio } from "../stdio.ts"
import * as Text from "../text.ts"

/** Concurrent uploads. More do not use the network better, and each holds a connection. */
const AT_ONCE = 4

interface Input extends Encryption.EncryptInput {
  readonly paths: ReadonlyArray<string>
  readonly expires: string | undefined
  readonly maxDownloads: string | undefined
  readonly keep: boolean
  readonly countFirst: boolean
  readonly name: string | undefined
  readonly title: string | undefined
  readonly tar: boolean
  readonly resume: boolean
  readonly snapshot: boolean
  readonly showToken: boolean
  readonly qr: boolean
}

/** How far an upload has come, for the report if it is stopped. */
interface Stage {
  /** How much of the file was read. */
  at: "waiting" | "sending" | "sent"
  /** Whether a request with bytes of the file was written to a connection: a small file is read before there is one. */
  isOnItsWay: boolean
  bytes: number
  /** Whether the host keeps what it has of it, so that the same command continues it. */
  isNoted: () => boolean
}

const watched = <B extends Source.Body>(body: B, stage: Stage): B => {
  const watch = <E>(from: number, open: () => Stream.Stream<Uint8Array, E>) =>
    Stream.suspend(() => {
      stage.at = "sending"
      stage.bytes = from
      return open()
    }).pipe(
      Stream.map((chunk) => {
        stage.bytes += chunk.length
        return chunk
      }),
      Stream.onEnd(Effect.sync(() => {
        stage.at = "sent"
      }))
    )
  const openAt = body._tag === "FileBody" ? body.openAt : undefined
  return {
    ...body,
    open: (buffers) => watch(0, () => body.open(buffers)),
    ...(openAt === undefined
      ? {}
      : { openAt: (position: number, buffers: Buffers) => watch(position, () => openAt(position, buffers)) })
  }
}

/** The command that sends a file again; it continues a broken upload. */
const againOf = (source: string, { paths: _paths, resume: _resume, ...flags }: Input) =>
  Again.command("upload", source, { ...flags })

const fateOf = (stage: Stage, again: string, isEncrypted: boolean) =>
  Effect.sync(() => {
    // The command that continues an upload first asks the host how much it has, so it never stores a file twice.
    const next = stage.isNoted() ? `Continue it by the same command: ${again}` : undefined
    return stage.at === "sent" && stage.isOnItsWay
      ? {
        what: "stopped before the host had responded",
        advice: next ?? "It may have been stored on the host: see \"fileio list\" before you send it again.",
        details: { stored: "unknown" as const }
      }
      : {
        what: stage.isOnItsWay ? `stopped after ${Text.bytes(stage.bytes)}` : "stopped before it was sent",
        advice: next ??
          `Nothing was stored on the host. ${
            isEncrypted ? "An encrypted upload starts over" : "Send it again"
          }: ${again}`,
        details: { stored: "no" as const, bytesDone: stage.isOnItsWay ? stage.bytes : 0 }
      }
  })

const summary = (details: FileDetails): string => {
  const left = details.downloadsLeft
  const downloads = left === undefined
    ? []
    : [left === "unlimited" ? "works any number of times" : left === 1 ? "works once" : `works ${left} times`]
  const until = details.expires === undefined
    ? []
    : [details.expires === null ? "never expires" : `until ${Text.time(DateTime.toDateUtc(details.expires))}`]
  return [...downloads, ...until].join(", ")
}

/** Checks the arguments and the settings; returns the options that all files share. */
const optionsOf = Effect.fnUntraced(function*(input: Input, settings: Settings.Settings) {
  const maxDownloads = Settings.first({ flag: input.maxDownloads }) ?? settings.maxDownloads
  const expires = Settings.first({ flag: input.expires }) ?? settings.expires
  const options: FileIo.UploadOptions = {
    expires: expires?.value,
    maxDownloads: maxDownloads &&
      (yield* Settings.maxDownloads(maxDownloads.value, Settings.sourceOf("max-downloads", maxDownloads.from))),
    autoDelete: input.keep ? false : undefined,
    title: input.title,
    countFrom: input.countFirst ? "first-byte" : undefined
  }
  const checked = FileSettings.parse(options)
  if (Result.isSuccess(checked)) return options
  const { field, problem } = checked.failure
  const isVariable = field === "expires" && expires?.from === "variable"
  return yield* usage(`invalid ${isVariable ? "FILEIO_EXPIRES" : field}: ${problem}`, "Nothing was sent. Correct it.")
})

/** One run of the command. */
interface Upload {
  readonly input: Input
  readonly options: FileIo.UploadOptions
  readonly encryption: FileIo.UploadOptions["encryption"]
  readonly client: Session.Client
  /** Folder of the notes of unfinished uploads. */
  readonly notes: string
}

/** The note of an unfinished upload of a file; without encryption, whose keys are in no note. */
const noteOf = Effect.fnUntraced(function*(
  upload: Upload,
  source: string,
  again: string,
  body: Source.Body,
  stage: Stage
) {
  const { client, encryption, input, notes, options } = upload
  const report = yield* Report
  if (input.resume && encryption !== undefined) {
    return yield* local(
      "a broken upload that was encrypted cannot be continued, since its key was kept nowhere",
      `Nothing was sent. Send it again without --resume, or encrypt it to a file and upload that: age -r KEY -o ${
        Text.quoted(`${source}.age`)
      } ${Text.quoted(source)}`
    )
  }
  const note = body._tag === "FileBody" && encryption === undefined
    ? yield* Effect.provideService(
      UploadNote.open(notes, body, options, client.baseUrl),
      CurrentPlatform,
      NodePlatform.make
    )
    : undefined
  if (note?.state === "changed") {
    yield* report.warn(`${source} has changed since a part of it was sent: the upload starts over`)
  }
  if (note?.state === "unfinished") yield* report.note(`continuing the upload of ${source}`)
  if (input.resume && note?.state === "running") {
    return yield* local(
      "another process is sending this file",
      "Nothing was sent. Wait until it has ended; if it fails, give the same command again."
    )
  }
  if (input.resume && note?.state !== "unfinished") {
    return yield* local(
      "there is no broken upload of this file to continue",
      `Nothing was sent. Upload it: ${again}`
    )
  }
  if (note === undefined) return undefined
  stage.isNoted = note.isNoted
  return { resumption: { ...note.resumption, only: input.resume }, remove: note.remove }
})

/** Sends one file. Only what comes before its link can be interrupted: a link that is lost is a file that nobody can download. */
const send = Effect.fnUntraced(function*(upload: Upload, source: string) {
  const { client: { baseUrl, fileIo, hasKey }, encryption, input, options } = upload
  const report = yield* Report
  const stage: Stage = { at: "waiting", isOnItsWay: false, bytes: 0, isNoted: () => false }
  const again = yield* againOf(source, input)
  yield* report.remember({ subject: source, describe: fateOf(stage, again, encryption !== undefined) })
  const body = yield* Effect.interruptible(Source.bodyOf(source, input))
  const note = yield* Effect.interruptible(noteOf(upload, source, again, body, stage))
  const track = yield* report.view.track(body.name, "sending")
  const sending: FileIo.UploadOptions = {
    ...options,
    encryption,
    // With an account, the host can be asked for the file after a lost response.
    onUnknown: hasKey ? "reconcile" : "fail",
    onProgress: track.listener
  }
  return yield* (body._tag === "FileBody"
    ? fileIo.upload(watched(body, stage), { ...sending, resumption: note?.resumption })
    : fileIo.uploadOnce(watched(body, stage), sending)).pipe(
      Effect.interruptible,
      Effect.provideService(Session.CurrentOnSent, ({ body }) => {
        if (body._tag !== "Empty") stage.isOnItsWay = true
      }),
      Effect.tap(note?.remove ?? Effect.void),
      // An account's key deletes its files.
      Effect.tap((details) => hasKey ? Effect.void : DeleteTokens.keep(details, baseUrl)),
      Effect.tap(track.end("done")),
      Effect.onError(() => track.end("failed"))
    )
}, Effect.scoped)

/** Reports a stored file; returns the problem if its link could not be written. */
const show = Effect.fnUntraced(function*({ input }: Upload, source: string, details: FileDetails) {
  const report = yield* Report
  const stdio = yield* Stdio
  const token = input.showToken && details.deleteToken != null ? Redacted.value(details.deleteToken) : undefined
  const problem = yield* report.result(
    {
      v: JsonLine.VERSION,
      type: "uploaded",
      source,
      ...JsonLine.fileFields(details),
      ...(token === undefined ? {} : { deleteToken: token })
    },
    Text.visible(details.link)
  ).pipe(
    Effect.as(undefined),
    Effect.catch((error) => report.lostLink(details.link, error, source))
  )
  const which = input.paths.length === 1 ? "" : `${source}: `
  if (!report.flags.json) yield* report.note(`  ${which}${summary(details)}`)
  if (input.showToken && token === undefined) yield* report.warn(`${which}this host gives no deletion token`)
  if (token !== undefined && !report.flags.json) {
    yield* report.drawing(`  ${Text.visible(which)}deletion token: ${Text.visible(token)}`)
  }
  if (input.countFirst && details.countFrom !== "first-byte") {
    yield* report.warn("this host does not know --count-first: it gives a download back that breaks")
  }
  if (input.qr) {
    const { lines } = yield* Effect.promise(() => import("../qr.ts"))
    yield* report.drawing(
      lines(Text.visible(details.link), stdio.stderr.isTerminal && (stdio.env["NO_COLOR"] ?? "") === "")
    )
  }
  return problem
})

/** Runs a report for each item: in the order of the items, whichever of them ends first. */
const makeInOrder = (count: number) => {
  const ended = Array.from({ length: count }, (): Effect.Effect<void> | undefined => undefined)
  const one = Semaphore.makeUnsafe(1)
  let next = 0
  const flush = one.withPermit(Effect.uninterruptible(Effect.gen(function*() {
    for (let report = ended[next]; report !== undefined; report = ended[next]) {
      ended[next] = undefined
      next++
      yield* report
    }
  })))
  return {
    add: (index: number, report: Effect.Effect<void>) =>
      Effect.suspend(() => {
        ended[index] = report
        return flush
      }),
    /** Runs what is left, where an item before it has not ended. */
    flushAll: Effect.suspend(() => Effect.all(ended.filter((report) => report !== undefined), { discard: true }))
  }
}

export const run: Runner<Input> = Effect.fnUntraced(function*(input) {
  const report = yield* Report
  const { paths } = input
  if (input.name !== undefined && paths.length > 1) {
    return yield* usage("--name is for one file", "Leave it out, or upload the files one by one.")
  }
  if (paths.filter((path) => path === "-").length > 1) {
    return yield* usage("standard input can be read only once", "Give - once.")
  }
  const session = yield* Session.make(paths.length === 1 ? "one" : "many")
  const options = yield* optionsOf(input, session.settings)
  const encryption = yield* Encryption.forUpload(input, session.settings)
  const client = yield* session.open()
  const upload: Upload = { input, options, encryption, client, notes: yield* Settings.notesFolder }
  const environment = yield* Effect.context<Stdio | Report>()
  const failures: Array<Problem> = []
  const inOrder = makeInOrder(paths.length)
  yield* Effect.forEach(
    paths.entries(),
    ([index, source]) =>
      Effect.match(send(upload, source), {
        onSuccess: (details) => show(upload, source, details),
        onFailure: (error) => Effect.as(report.problem(toProblem(error), source), toProblem(error))
      }).pipe(
        Effect.flatMap((shown) =>
          inOrder.add(
            index,
            Effect.map(Effect.provideContext(shown, environment), (problem) => {
              if (problem !== undefined) failures.push(problem)
            })
          )
        ),
        Effect.uninterruptible
      ),
    { concurrency: AT_ONCE, discard: true }
  ).pipe(Effect.ensuring(inOrder.flushAll))
  yield* finish(failures)
})
