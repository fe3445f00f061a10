/** Each call of `FileIo` as a promise or an async iterable. */
import * as ClientFileIo from "@effect-fileio/client/FileIo"
import type * as Progress from "@effect-fileio/client/Progress"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { DownloadStreamOptions, FileIo, UpdateOptions } from "../FileIo.ts"
import * as Input from "./input.ts"
import * as Plain from "./plain.ts"
import * as Run from "./run.ts"

/** The calls over a built client. */
export const make = <R>(runner: Run.Runner<R | ClientFileIo.FileIo>): FileIo => {
  const client = Context.get(runner.context, ClientFileIo.FileIo)
  const change = (operation: "update" | "replace"): FileIo["update"] => (keyOrLink, options) => {
    const { file, ...rest } = Input.watched<Progress.Progress, UpdateOptions>(options)
    return runner.promise(
      operation,
      Effect.map(
        client[operation](keyOrLink, { ...rest, ...(file === undefined ? {} : { file: Input.body(file) }) }),
        Plain.fileDetails
      ),
      options
    )
  }
  return {
    upload: (content, options) =>
      runner.promise(
        "upload",
        Effect.map(client.upload(Input.body(content), Input.watched(options)), Plain.fileDetails),
        options
      ),
    uploadOnce: (content, options) =>
      runner.promise(
        "upload",
        Effect.map(client.uploadOnce(Input.onceBody(content), Input.watched(options)), Plain.fileDetails),
        options
      ),
    uploadScoped: async (content, options) => {
      const { value, closed: _, ...closeable } = await runner.held(
        "upload",
        client.uploadScoped(Input.body(content), Input.watched(options)),
        options
      )
      return { ...Plain.fileDetails(value), ...closeable }
    },
    reconcile: (upload, options) =>
      runner.promise(
        "list",
        Effect.map(
          Effect.suspend(() => {
            const { name, sentAt, size } = upload ?? {}
            const time = DateTime.make(sentAt)
            return typeof name === "string" && typeof size === "number" && Option.isSome(time)
              ? client.reconcile({ name, size, sentAt: time.value })
              : Effect.fail(
                Run.invalidError(
                  "list",
                  "upload",
                  "allowed: { name, size, sentAt }, of an upload whose response was lost"
                )
              )
          }),
          (found) => Option.getOrUndefined(Option.map(found, Plain.fileDetails))
        ),
        options
      ),
    awaitDownloaded: (keyOrLink, options) =>
      runner.iterable("list", Stream.map(client.awaitDownloaded(keyOrLink, options), Plain.fileState), options),
    download: async (keyOrLink, options) => {
      const { resume, ...rest } = Input.watched<Progress.Progress, DownloadStreamOptions>(options)
      const { closed, value, ...closeable } = await runner.held(
        "download",
        client.download(keyOrLink, { ...rest, resume: resume === undefined ? undefined : Input.resume(resume) }),
        options
      )
      const { open, stream: _, ...begun } = value
      const stream = runner.iterable("download", Stream.ensuring(open("owned"), closed), options)
      return { ...begun, stream, ...closeable }
    },
    downloadBytes: (keyOrLink, options) =>
      runner.promise("download", client.downloadBytes(keyOrLink, Input.watched(options)), options),
    list: (options) => runner.promise("list", Effect.map(client.list(options), Plain.fileList), options),
    listAll: (options) => runner.iterable("list", Stream.map(client.listAll(options), Plain.fileDetails), options),
    me: (options) => runner.promise("me", Effect.map(client.me, Plain.account), options),
    waitTime: (options) => runner.promise("me", Effect.map(client.waitTime, Duration.toMillis), options),
    update: change("update"),
    replace: change("replace"),
    status: (keyOrLink, options) =>
      runner.promise(
        "status",
        Effect.map(client.status(keyOrLink, Input.withToken(options)), Plain.fileStatus),
        options
      ),
    delete: (keyOrLink, options) =>
      runner.promise("delete", client.delete(keyOrLink, Input.withToken(options)), options),
    close: runner.close,
    [Symbol.asyncDispose]: runner.close
  }
}
