/** Shows the account and its plan. */
import { FileIo } from "@effect-fileio/client"
import { Console, Effect } from "effect"
import { run } from "./internal/run.ts"

run(Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  const me = yield* fileIo.me
  yield* Console.log("plan             ", me.planId)
  yield* Console.log("maxUploadBytes   ", me.maxUploadBytes)
  yield* Console.log("maxStorageBytes  ", me.maxStorageBytes)
  yield* Console.log("usedStorageBytes ", me.usedStorageBytes)
  yield* Console.log("rateLimit        ", me.rateLimit)
  yield* Console.log("directDownload   ", me.directDownload)
  yield* Console.log("what else it says", JSON.stringify(me.extra))
}))
