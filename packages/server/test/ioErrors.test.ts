import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { ANNA, anna, assertRefused, blobs, call, eventually, temporaryFolder, upload, uploaded } from "./support.ts"

const BIN = fileURLToPath(new URL("../src/bin.ts", import.meta.url))
const SOURCE = fileURLToPath(new URL("lab/faultyDisk.c", import.meta.url))
const { EIO, ENOSPC, EROFS } = Os.constants.errno

const canPreload = process.platform === "linux" && spawnSync("cc", ["--version"]).status === 0
if (!canPreload) {
  console.warn("SKIPPED: a disk whose writes and syncs fail; it needs Linux and a C compiler (Debian: gcc)")
}

/** The program over a disk that fails on request. */
const program = (folder: string, library: string) =>
  Effect.gen(function*() {
    const control = Path.join(folder, "control")
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(process.execPath, [BIN, "--grace", "1 second", "--sweep-interval", "1 second"], {
          env: {
            ...process.env,
            LD_PRELOAD: library,
            FAULTY_CONTROL: control,
            FAULTY_PATH: "/catalog.sqlite",
            FILEIO_SERVER_PORT: "0",
            FILEIO_SERVER_ANONYMOUS_RATE: "none",
            FILEIO_SERVER_API_KEY: ANNA,
            FILEIO_SERVER_DATA: Path.join(folder, "data")
          },
          stdio: ["ignore", "pipe", "ignore"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    let output = ""
    child.stdout.on("data", (chunk) => output += String(chunk))
    yield* eventually("it says where it listens", () => output.includes("\n"))
    const [url, adminUrl] = [...output.matchAll(/http:\/\/127\.0\.0\.1:\d+/g)].map(([match]) => match)
    const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
    return {
      url: url!,
      adminUrl: adminUrl!,
      fail: (calls: "write" | "sync" | "both", errno: number) => Fs.writeFileSync(control, `${calls} ${errno}`),
      mend: () => Fs.rmSync(control),
      kill: Effect.promise(() => {
        child.kill("SIGKILL")
        return ended
      })
    }
  })

/** A receiver's result: the whole file, or nothing usable. */
const receive = (at: string) =>
  Effect.promise(() => fetch(at).then((got) => got.status === 200 ? got.text() : "").catch(() => ""))

describe.skipIf(!canPreload)("a disk that fails under the catalog", () => {
  const cases = [
    ["at every write, as a broken one", "write", EIO],
    ["at every write, as one without room", "write", ENOSPC],
    ["at every write, as one that became read-only", "write", EROFS],
    ["at every sync", "sync", EIO],
    ["at every write and sync", "both", EIO],
    ["at every sync, until the process is killed", "sync", EIO, "killed"]
  ] as const

  for (const [name, calls, errno, killed] of cases) {
    it.live(
      `${name}: no upload is acknowledged and lost, no file given twice or without being counted`,
      () =>
        Effect.gen(function*() {
          const folder = yield* temporaryFolder
          const library = Path.join(folder, "faulty.so")
          assert.strictEqual(spawnSync("cc", ["-shared", "-fPIC", "-o", library, SOURCE, "-ldl"]).status, 0)
          const first = yield* program(folder, library)
          const keys: Array<string> = []
          for (let i = 0; i < 4; i++) keys.push((yield* uploaded(first.url, `once ${i}`, { headers: anna })).key)
          const given = new Map(keys.map((key) => [key, 0]))
          const ask = (url: string) =>
            Effect.forEach(keys, (key, i) =>
              Effect.map(receive(`${url}/${key}`), (text) => {
                assert.include(["", `once ${i}`], text)
                if (text !== "") given.set(key, given.get(key)! + 1)
              }), { discard: true })

          first.fail(calls, errno)
          for (let round = 0; round < 3; round++) {
            yield* ask(first.url)
            const kept = yield* call(`${first.url}/${keys[0]}`, { method: "DELETE", headers: anna })
            assert.isAtLeast(kept.status, 500, kept.text)
            const refused = yield* upload(first.url, "new", { headers: anna })
            assert.isAtLeast(refused.status, 500, refused.text)
            if (calls === "sync") assert.strictEqual(refused.json["code"], "OUTCOME_UNKNOWN")
          }
          assert.deepStrictEqual([...given.values()], [0, 0, 0, 0])
          const sick = yield* call(`${first.adminUrl}/healthz`)
          if (calls !== "sync") assert.strictEqual(sick.status, 503, sick.text)
          else assert.strictEqual(sick.json["status"], "degraded")

          const stored: Array<string> = []
          if (killed === undefined) {
            first.mend()
            stored.push((yield* uploaded(first.url, "after", { headers: anna })).key)
          }
          yield* first.kill
          if (killed !== undefined) first.mend()
          const second = yield* program(folder, library)
          yield* eventually("all are given", async () => {
            await Effect.runPromise(ask(second.url))
            return [...given.values()].every((times) => times > 0)
          })
          assert.deepStrictEqual([...given.values()], [1, 1, 1, 1])
          for (const key of keys) assertRefused(yield* call(`${second.url}/${key}`), 404, "FILE_NOT_FOUND")
          const listed = (yield* call(second.url, { headers: anna })).json.nodes.map(({ key }) => String(key))
          if (killed === undefined) assert.deepStrictEqual(listed, stored)
          yield* eventually(
            "only the bytes of what is listed are left",
            () => blobs({ folder: Path.join(folder, "data") }).length === listed.length
          )
          // An upload with an unknown outcome is stored completely, or not at all.
          for (const key of listed) assert.include(["new", "after"], yield* receive(`${second.url}/${key}`))
        })
    )
  }

  it.live(
    "at every sync, under many at the same time: each hears it, and nothing is lost or given twice",
    () =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        const library = Path.join(folder, "faulty.so")
        assert.strictEqual(spawnSync("cc", ["-shared", "-fPIC", "-o", library, SOURCE, "-ldl"]).status, 0)
        const server = yield* program(folder, library)
        const all = { concurrency: "unbounded" } as const
        const indexes = Array.from({ length: 16 }, (_, index) => index)
        const keys = yield* Effect.forEach(
          indexes,
          (index) => Effect.map(uploaded(server.url, `once ${index}`, { headers: anna }), ({ key }) => key),
          all
        )
        const receiveAll = Effect.forEach(keys, (key) => receive(`${server.url}/${key}`), all)

        server.fail("sync", EIO)
        const [refused, given] = yield* Effect.all([
          Effect.forEach(indexes, () => upload(server.url, "new", { headers: anna }), all),
          receiveAll
        ], all)
        for (const { status, text } of refused) assert.isAtLeast(status, 500, text)
        for (const { json } of refused) assert.strictEqual(json["code"], "OUTCOME_UNKNOWN")
        assert.deepStrictEqual(given, indexes.map(() => ""))
        server.mend()

        const times = new Map(keys.map((key) => [key, 0]))
        yield* eventually("all are given", async () => {
          const texts = await Effect.runPromise(receiveAll)
          for (const [index, text] of texts.entries()) {
            assert.include(["", `once ${index}`], text)
            if (text !== "") times.set(keys[index]!, times.get(keys[index]!)! + 1)
          }
          return [...times.values()].every((count) => count > 0)
        })
        assert.deepStrictEqual([...times.values()], indexes.map(() => 1))
      })
  )
})
