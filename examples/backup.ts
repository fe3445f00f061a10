/** A nightly backup for a receiver: uploads it, watches until it is downloaded, and forgets it then. */
import { FileIo, FileTransfer } from "@effect-fileio/client"
import { Console, Deferred, Effect, Fiber, FileSystem, Schedule, Stream } from "effect"
import { run } from "./internal/run.ts"

const backup = Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  const transfer = yield* FileTransfer.FileTransfer
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped({ prefix: "fileio-example-" })
  const path = `${folder}/backup.tar`
  yield* fs.writeFileString(path, "everything that matters")

  // The host deletes it after a day, downloaded or not.
  const file = yield* transfer.uploadFile(path, { expires: "1d", title: "Nightly backup" })
  yield* Console.log("handed over:", file.link)

  // At some time, the other side downloads it; here, once its sender watches.
  const taken = `${folder}/taken.tar`
  const watched = yield* Deferred.make<void>()
  const receiver = yield* Effect.forkChild(
    Effect.andThen(Deferred.await(watched), transfer.downloadFile(file.link, { path: taken }))
  )

  yield* Stream.runForEach(
    fileIo.awaitDownloaded(file.key, { every: "100 millis" }),
    (state) => Effect.andThen(Console.log("state:", state._tag), Deferred.succeed(watched, undefined))
  )
  // Only now is the original no longer needed.
  yield* fs.remove(path)
  yield* Fiber.join(receiver)
  yield* Console.log("the backup was taken:", yield* fs.readFileString(taken))
}).pipe(Effect.scoped)

// A real one runs every night at two and never ends: `Schedule.cron("0 2 * * *")`.
run(Effect.repeat(backup, Schedule.recurs(0)))
