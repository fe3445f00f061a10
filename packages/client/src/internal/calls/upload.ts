/** The calls that upload: a body, a body that can be read only once, and one whose file is deleted with its scope. */
import type { FileDetails } from "@effect-fileio/core/FileDetails"
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import type * as FileKey from "@effect-fileio/core/FileKey"
import * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as FileBody from "../../FileBody.ts"
import type { UploadOptions } from "../../FileIoModels.ts"
import * as Span from "../observe/span.ts"
import * as Outgoing from "../request/outgoing.ts"
import { Failure, storedOf } from "../shared/failure.ts"
import * as Encrypted from "./encrypted.ts"
import { readStored, submit } from "./jsonCall.ts"
import type { GetPage } from "./list.ts"
import * as Reconcile from "./reconcile.ts"
import { callOf, type Client, parseSettings, requireKey } from "./shared.ts"
import type { UploadLimits } from "./uploadLimits.ts"

export interface Options {
  readonly client: Client
  readonly plan: UploadLimits
  readonly getPage: GetPage
  readonly known: Reconcile.KnownKeys
}

const recover = ({ getPage, known }: Options, name: string, tally: Outgoing.Tally, sentAt: number) =>
  Effect.fnUntraced(function*(failure: Failure): Effect.fn.Return<FileDetails, Failure> {
    if (storedOf(failure) !== "unknown") return yield* Effect.fail(failure)
    const look = Effect.suspend(() =>
      Reconcile.reconcile(getPage, known, { name, size: tally.bytes, sentAt: DateTime.makeUnsafe(sentAt) })
    )
    const found = yield* Effect.result(Reconcile.reconcilePatiently(look))
    if (found._tag === "Failure") return yield* Effect.fail(failure)
    if (Option.isSome(found.success)) return found.success.value
    // After a reset the host has stopped; after a time-out it may still be working.
    return yield* Effect.fail(failure.reason._tag === "Unreachable" ? new Failure("absent", failure.reason) : failure)
  })

const send = /* @__PURE__ */ Effect.fnUntraced(function*(
  options: Options,
  body: FileBody.FileBody | FileBody.OneShotBody,
  given: UploadOptions | undefined,
  tally: Outgoing.Tally = Outgoing.makeTally()
): Effect.fn.Return<FileDetails, FileIoError.FileIoError> {
  const { client, known, plan } = options
  const clock = yield* Clock.Clock
  const settings = yield* parseSettings("upload", given ?? {}, clock.currentTimeMillisUnsafe())
  const isReconciled = given?.onUnknown === "reconcile"
  if (isReconciled) yield* requireKey(client, "upload")
  yield* plan.check("upload", body.size, settings)
  const file = yield* submit(
    client,
    { call: callOf(client, "upload"), method: "POST", path: "/", read: readStored(body, tally) },
    {
      body,
      fields: FileSettings.toFields(settings),
      onProgress: given?.onProgress,
      tally,
      resumption: given?.encryption === undefined ? given?.resumption : undefined
    },
    isReconciled ? recover(options, body.name, tally, clock.currentTimeMillisUnsafe()) : undefined
  )
  known.add(file.key)
  plan.stored(tally.bytes)
  return file
})

/** Checks a body, encrypts it if the options ask for that, and sends it. */
const upload = /* @__PURE__ */ Effect.fnUntraced(function*(
  options: Options,
  given: FileBody.FileBody | FileBody.OneShotBody,
  settings: UploadOptions | undefined
) {
  const { body, linked } = yield* Encrypted.prepare(options.client, "upload", given, settings?.encryption)
  return linked(yield* send(options, body, settings))
})

export const make = (options: Options) =>
  Span.fn(
    "FileIo.upload",
    "upload",
    (body: FileBody.FileBody, given?: UploadOptions) => upload(options, body, given)
  )

export const makeOnce = (options: Options) =>
  Span.fn(
    "FileIo.uploadOnce",
    "upload",
    (body: FileBody.OneShotBody, given?: UploadOptions) => upload(options, body, given)
  )

const warn = (problem: string) => (error: FileIoError.FileIoError) => Effect.logWarning(problem, error.message)

/** An upload whose file is deleted when its scope closes. */
export const makeScoped = (
  options: Options,
  deleteFile: (key: string) => Effect.Effect<void, FileIoError.FileIoError>
) => {
  const { client, getPage, known } = options
  const remove = (key: FileKey.FileKey) =>
    Effect.catch(
      deleteFile(key),
      (error) =>
        error.reason._tag === "FileNotFound"
          ? Effect.void
          : warn("the file of a scoped upload could not be deleted")(error)
    )
  return Span.fn(
    "FileIo.uploadScoped",
    "upload",
    Effect.fnUntraced(function*(
      plain: FileBody.FileBody,
      given?: UploadOptions
    ): Effect.fn.Return<FileDetails, FileIoError.FileIoError, Scope.Scope> {
      yield* requireKey(client, "upload")
      const { body, linked } = yield* Encrypted.prepare(client, "upload", plain, given?.encryption)
      const sentAt = yield* DateTime.now
      const tally = Outgoing.makeTally()
      // The response may be lost, or the call interrupted, while the file is stored.
      const sweep = Effect.suspend(() =>
        !tally.complete ? Effect.void : Reconcile.reconcilePatiently(
          Effect.suspend(() => Reconcile.reconcile(getPage, known, { name: body.name, size: tally.bytes, sentAt }))
        ).pipe(
          Effect.flatMap(Option.match({ onNone: () => Effect.void, onSome: ({ key }) => remove(key) })),
          Effect.catch(warn("whether an interrupted upload left a file is unknown")),
          Effect.timeoutOption("1 minute")
        )
      )
      const file = yield* Effect.acquireRelease(
        Effect.onExit(
          Effect.interruptible(send(options, body, given, tally)),
          (exit) =>
            exit._tag === "Success" || Exit.findErrorOption(exit).pipe(Option.exists((error) => error.stored === "no"))
              ? Effect.void
              : sweep
        ),
        ({ key }) => remove(key)
      )
      return linked(file)
    })
  )
}
