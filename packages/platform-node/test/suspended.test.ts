/** A process that was stopped, as by Ctrl-Z or by a sleeping laptop: this time does not count as silence of the host. */
import { Fault } from "@effect-fileio/client/testing"
import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import { fileURLToPath } from "node:url"
import { bytesOf, folder, overSockets, until } from "./faults/support.ts"

const FILE = bytesOf(300_000)
const script = fileURLToPath(new URL("./faults/downloader.ts", import.meta.url))
const IDLE_MILLIS = 1000

describe.skipIf(process.platform === "win32")("a process that was stopped for longer than the idle timeout", () => {
  it.live("resumes its download", () =>
    Effect.gen(function*() {
      const host = yield* NodeFaultHost.NodeFaultHost
      const directory = yield* folder
      const { key } = yield* host.put({ bytes: FILE, name: "a.bin" })
      yield* host.inject(Fault.Drip({ bytes: 2000, every: 10 }), { on: "download" })
      const child = spawn(process.execPath, [script, host.baseUrl, directory, key], {
        stdio: ["ignore", "pipe", "inherit"],
        env: { ...process.env, IDLE_MILLIS: String(IDLE_MILLIS) }
      })
      const exited = once(child, "exit")
      yield* until(
        "under way",
        Effect.sync(() =>
          Fs.readdirSync(directory).some((name) =>
            name.endsWith(".part") && Fs.statSync(`${directory}/${name}`).size > 0
          )
        )
      )
      child.kill("SIGSTOP")
      yield* Effect.sleep(IDLE_MILLIS * 3)
      child.kill("SIGCONT")
      yield* Effect.promise(() => exited)
      assert.deepStrictEqual(new Uint8Array(Fs.readFileSync(`${directory}/a.bin`)), FILE)
      const requests = (yield* host.requests).filter(({ operation }) => operation === "download")
      assert.strictEqual(requests.length, 1)
    }).pipe(Effect.scoped, Effect.provide(overSockets({ resumable: false }))))
})
