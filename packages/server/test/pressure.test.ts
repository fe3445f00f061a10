import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import { run } from "./pressure/pressure.ts"

/** `FILEIO_CONNECTIONS=4096` is the server's default limit. */
const connections = Number(process.env["FILEIO_CONNECTIONS"] ?? 256)

const hasProc = Fs.existsSync("/proc/self/status")
if (!hasProc) console.warn("SKIPPED: the memory of a server under pressure; there is no /proc")

describe("a server under pressure", () => {
  it.live.skipIf(!hasProc)(
    "keeps its memory, whatever its clients do not read or finish, and serves others",
    () =>
      Effect.gen(function*() {
        const all = yield* Effect.promise(() =>
          run(connections, {
            onFigures: (figures) => {
              if (process.env["FILEIO_CONNECTIONS"] !== undefined) console.log(JSON.stringify(figures))
            }
          })
        )
        for (const figures of all) {
          const text = JSON.stringify(figures)
          assert.isTrue(figures.serves, text)
          assert.isAtMost(figures.peak, 512, text)
          // The shared budget, the memory of each connection, and uncollected garbage.
          assert.isAtMost(figures.peak - figures.before, 32 + connections / 10 + 96, text)
        }
      }),
    900_000
  )
})
