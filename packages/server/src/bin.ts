#!/usr/bin/env node
/**
 * The server as a program, configured by `FILEIO_SERVER_…`; see `FileIoServer.config`.
 *
 * @since 0.1.0
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import * as FileIoServer from "./FileIoServer.ts"

const program = Effect.gen(function*() {
  const { dataDirectory, anonymousPlan } = yield* FileIoServer.config
  const { publicUrl, url } = yield* FileIoServer.FileIoServer
  const links = publicUrl === url ? "" : `, links ${publicUrl}`
  yield* Console.log(`file.io on ${url}${links}, data in ${dataDirectory}, anonymous plan ${anonymousPlan}`)
  return yield* Effect.never
})

// SIGINT and SIGTERM interrupt: nothing new is accepted, and running transfers have the shutdown time. To be told to stop
// is no failure.
NodeRuntime.runMain(Effect.provide(program, FileIoServer.layerConfig()), {
  teardown: (exit, onExit) => Exit.hasInterrupts(exit) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)
})
