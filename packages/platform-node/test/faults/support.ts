import { type FileIo, type FileTransfer, RateLimit } from "@effect-fileio/client"
import type { FileName } from "@effect-fileio/core"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Layer } from "effect"

/** Bytes of which no two ranges are equal. */
export const bytesOf = (size: number, seed = 0x2545F491): Uint8Array => {
  const bytes = new Uint8Array(size)
  let word = seed
  for (let i = 0; i < size; i++) {
    word = (Math.imul(word, 1664525) + 1013904223) | 0
    bytes[i] = word >>> 24
  }
  return bytes
}

/** A folder that is removed with the scope. */
export const folder = FileSystem.FileSystem.use((fs) => fs.makeTempDirectoryScoped({ prefix: "fileio-test-" }))

/** The real client over a host on a socket. */
export const overSockets = (
  options: NodeFaultHost.Options & NodeFileIo.Options = {}
): Layer.Layer<NodeFaultHost.NodeFaultHost | FileIo.FileIo | FileTransfer.FileTransfer | NodeServices.NodeServices> =>
  Layer.unwrap(
    Effect.map(
      NodeFaultHost.NodeFaultHost,
      ({ apiKey, baseUrl }) => NodeFileIo.layer({ checkLimits: false, apiKey, ...options, baseUrl })
    )
  ).pipe(
    Layer.provide(RateLimit.layer(RateLimit.unlimited)),
    Layer.provideMerge(NodeFaultHost.layer(options)),
    Layer.provideMerge(NodeServices.layer),
    Layer.orDie
  )

/** Polls until a condition holds; fails if it never does. */
export const until = <R>(what: string, holds: Effect.Effect<boolean, never, R>): Effect.Effect<void, never, R> =>
  Effect.gen(function*() {
    while (!(yield* holds)) yield* Effect.sleep(5)
  }).pipe(Effect.timeoutOrElse({ duration: "100 seconds", orElse: () => Effect.die(`it never was so: ${what}`) }))

export type Name = FileName.FileName
