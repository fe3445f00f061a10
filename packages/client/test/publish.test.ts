import { FileName } from "@effect-fileio/core"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, FileSystem, Layer, Path, PlatformError } from "effect"
import { TestClock } from "effect/testing"
import { publish, type PublishOptions } from "../src/internal/disk/publish.ts"
import * as Platform from "../src/Platform.ts"

const failure = (code: string, _tag: PlatformError.SystemErrorTag) =>
  PlatformError.systemError({
    module: "FileSystem",
    method: "rename",
    _tag,
    cause: Object.assign(new Error(code), { code })
  })

/** A disk that refuses the first changes of names with a code; returns what was asked of it. */
const busy = (code: string, times: number) => {
  const asked: Array<string> = []
  let left = times
  const change = (what: string) =>
    Effect.suspend(() => {
      asked.push(what)
      return left-- > 0 ? Effect.fail(failure(code, "Busy")) : Effect.void
    })
  const layer = FileSystem.layerNoop({
    lstat: () => Effect.fail(failure("ENOENT", "NotFound")),
    rename: () => change("rename"),
    link: () => Effect.sync(() => void asked.push("link")),
    remove: () => change("remove")
  })
  return { asked, layer: Layer.merge(layer, Path.layer) }
}

const publishing = (collision: PublishOptions["collision"]) => {
  const folder = { mode: 0o755, uid: { _tag: "None" } } as unknown as FileSystem.File.Info
  const options: PublishOptions = { folder: "/in", folderInfo: folder, wanted: "/in/a", collision, isDurable: true }
  return publish(options, { path: "/in/.a.part", file: {} as FileSystem.File, bytes: 1 }, FileName.sanitize("a"))
}

describe("a name that another program holds for a moment, as on Windows", () => {
  it.effect.each([["overwrite", "rename"], ["fail", "remove"]] as const)(
    "is given when that is over (%s)",
    ([collision, change]) =>
      Effect.gen(function*() {
        for (const code of ["EPERM", "EACCES", "EBUSY"]) {
          const { asked, layer } = busy(code, 3)
          const fiber = yield* Effect.forkChild(Effect.provide(publishing(collision), layer))
          yield* TestClock.adjust("1 second")
          assert.strictEqual(yield* Fiber.join(fiber), "/in/a")
          assert.deepStrictEqual(asked.filter((what) => what === change), [change, change, change, change])
        }
      })
  )

  it.effect("is refused after two seconds, and at once for another reason or where there are users", () =>
    Effect.gen(function*() {
      const long = busy("EBUSY", Infinity)
      const fiber = yield* Effect.forkChild(Effect.flip(Effect.provide(publishing("overwrite"), long.layer)))
      yield* TestClock.adjust("3 seconds")
      assert.notStrictEqual(yield* Fiber.join(fiber), "exchanged")
      assert.strictEqual(long.asked.length, 21)

      const full = busy("ENOSPC", Infinity)
      yield* Effect.flip(Effect.provide(publishing("overwrite"), full.layer))
      assert.strictEqual(full.asked.length, 1)

      const posix = busy("EPERM", Infinity)
      yield* publishing("overwrite").pipe(
        Effect.flip,
        Effect.provide(posix.layer),
        Effect.provideService(Platform.CurrentPlatform, { ...Platform.portable, userId: 1000 })
      )
      assert.strictEqual(posix.asked.length, 1)
    }))
})
