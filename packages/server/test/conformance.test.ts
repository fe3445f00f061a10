import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { runAll } from "./conformance/runAll.ts"
import { ANNA, FRED, start } from "./support.ts"

const MAIN = fileURLToPath(new URL("conformance/main.ts", import.meta.url))

describe("the conformance suite", () => {
  it.live("holds for an account that may do everything", () =>
    Effect.gen(function*() {
      const { url } = yield* start({
        plans: { premium: { rateLimit: null, maxUploadBytes: 10_000_000 } }
      })
      const { failed, skipped } = yield* runAll(url, ANNA)
      assert.deepStrictEqual(failed, [])
      assert.deepStrictEqual(skipped, ["download: gives a browser a page unless the plan has direct download"])
    }))

  it.live("holds for the free plan, whose limits it takes as they are", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const { failed, skipped } = yield* runAll(url, FRED)
      assert.deepStrictEqual(failed, [])
      assert.deepStrictEqual(skipped.toSorted(), [
        "autoDelete: false keeps a used-up file for its owner, listed and not downloadable",
        "expires: empty means never",
        "maxDownloads: empty means no limit",
        "maxDownloads: n allows n downloads"
      ])
    }))

  it.live(
    "is a program that runs against any address, and fails where the contract does not hold",
    () =>
      Effect.gen(function*() {
        const { url } = yield* start()
        const run = (...args: ReadonlyArray<string>) =>
          Effect.promise(() =>
            new Promise<{ code: number | null; output: string }>((resolve) => {
              const child = spawn(process.execPath, [MAIN, ...args])
              let output = ""
              child.stdout.on("data", (chunk) => output += String(chunk))
              child.stderr.on("data", (chunk) => output += String(chunk))
              child.on("close", (code) => resolve({ code, output }))
            })
          )
        const held = yield* run(`${url}/`, ANNA, "authentication")
        assert.strictEqual(held.code, 0, held.output)
        assert.match(held.output, /^3 passed, 0 failed, 0 skipped$/m)
        const wrong = yield* run(url, "WRONG00.0000000-0000000-0000000-0000000", "bearer")
        assert.strictEqual(wrong.code, 1, wrong.output)
        assert.match(wrong.output, /^FAIL {2}authentication: a bearer token is taken$/m)
        assert.strictEqual((yield* run("nowhere", "x")).code, 2)
      })
  )
})
