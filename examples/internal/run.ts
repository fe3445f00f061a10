import type { FileIo, FileTransfer } from "@effect-fileio/client"
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Effect, type Scope } from "effect"
import { Host } from "./Host.ts"

/**
 * Runs an example against the host of FILEIO_BASE_URL, or against the embedded server, whose folder is removed at the end.
 */
export const run = <A, E>(
  program: Effect.Effect<
    A,
    E,
    FileIo.FileIo | FileTransfer.FileTransfer | Host | NodeServices.NodeServices | Scope.Scope
  >
): void =>
  program.pipe(
    Effect.scoped,
    Effect.provide([Host.layerClient, NodeServices.layer]),
    NodeRuntime.runMain
  )
