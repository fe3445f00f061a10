/**
 * `kill -9` at any moment. Processes that download several files each are killed at random points, hundreds of downloads in
 * all; the default keeps it short, `FILEIO_KILLS=500` makes it long.
 */
import { Encryption, FileBody, FileIo, FileTransfer, RetryPolicy } from "@effect-fileio/client"
import { Fault } from "@effect-fileio/client/testing"
import { NodeFaultHost } from "@effect-fileio/platform-node/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Stream } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { bytesOf, folder, overSockets } from "./faults/support.ts"

const KILLS = Number(process.env["FILEIO_KILLS"] ?? 22)
const FILES = 10
const FILE = bytesOf(120_000)
const script = fileURLToPath(new URL("./faults/downloader.ts", import.meta.url))

/** Runs a downloader and kills it a number of milliseconds after its first request has arrived. */
const killAfter = (millis: number, args: ReadonlyArray<string>, hasBegun: () => Promise<boolean>) =>
  Effect.promise(async () => {
    const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "inherit"] })
    const exited = once(child, "exit")
    let isDone = false
    child.stdout.on("data", (chunk: Buffer) => {
      if (chunk.includes("done")) isDone = true
    })
    while (child.exitCode === null && !(await hasBegun())) await new Promise((resolve) => setTimeout(resolve, 2))
    await new Promise((resolve) => setTimeout(resolve, millis))
    child.kill("SIGKILL")
    await exited
    return isDone
  })

/** The file as the host has it, and a link to download it. */
const kinds = {
  "a file": Effect.succeed({ bytes: FILE, linkOf: (key: string, _name: string) => key }),
  "an encrypted file": Effect.gen(function*() {
    const { body, linkOf } = yield* Encryption.encrypt(FileBody.bytes(FILE, { name: "unused" }), "link")
    const bytes = yield* Stream.mkUint8Array(body.open("owned"))
    return { bytes, linkOf: (key: string, name: string) => linkOf(key).replace("unused", name) }
  })
}

describe("kill -9", () => {
  it.live.each(Object.entries(kinds))(
    "the final name never holds less than the whole of %s, and what has a note is brought to its end",
    ([kind, make]) =>
      Effect.gen(function*() {
        const { bytes: stored, linkOf } = yield* make
        const host = yield* NodeFaultHost.NodeFaultHost
        const transfer = yield* FileTransfer.FileTransfer
        const fs = yield* FileSystem.FileSystem
        const seen = { cut: 0, whole: 0, resumed: 0, parts: 0, nothing: 0 }
        const round = Effect.fnUntraced(function*(index: number) {
          const directory = yield* folder
          const keys: Array<string> = []
          for (let i = 0; i < FILES; i++) {
            const name = `${index}-${i}.bin`
            keys.push(linkOf((yield* host.put({ bytes: stored, name })).key, name))
          }
          // The downloads of one process are at different points, so one kill covers many moments.
          const hasBegun = () =>
            Effect.runPromise(
              Effect.map(
                host.requests,
                (requests) => requests.some(({ target }) => target === `/${keys[0]!.split("#")[0]}`)
              )
            )
          const isDone = yield* killAfter((index * 7.3) % 110, [host.baseUrl, directory, ...keys], hasBegun)
          const look = Effect.gen(function*() {
            const names = yield* fs.readDirectory(directory)
            for (const name of names.filter((name) => !name.startsWith("."))) {
              const bytes = yield* fs.readFile(`${directory}/${name}`)
              assert.isTrue(Buffer.from(FILE).equals(bytes), `${name} has ${bytes.length} bytes`)
            }
            return names
          })
          const names = yield* look
          for (const name of names.filter((name) => name.endsWith(".part"))) {
            const bytes = yield* fs.readFile(`${directory}/${name}`)
            const whole = name.includes(".age.") ? stored : FILE
            assert.isTrue(Buffer.from(whole.subarray(0, bytes.length)).equals(bytes), name)
          }
          for (const name of names.filter((name) => name.endsWith(".json"))) {
            assert.notInclude(yield* fs.readFileString(`${directory}/${name}`), "AGE-SECRET-KEY")
          }
          const finals = names.filter((name) => !name.startsWith(".")).length
          const notes = names.filter((name) => /^\.fileio-\w+\.json$/.test(name)).length
          seen.whole += finals
          if (!isDone) seen.cut += FILES - finals
          seen.parts += names.filter((name) => name.endsWith(".part")).length
          seen.nothing += FILES - Math.max(finals, names.length - notes)
          // The same calls again, in this process.
          const again = yield* Effect.forEach(
            keys,
            (key) => Effect.result(transfer.downloadFile(key, { directory }).pipe(FileIo.withRetry(RetryPolicy.none))),
            { concurrency: FILES }
          )
          const after = yield* look
          const wholes = new Set(
            after.filter((name) => !name.startsWith(".")).map((name) => name.replace(/ \(\d+\)/, ""))
          )
          assert.deepStrictEqual(after.filter((name) => / \(\d+\)/.test(name)), [], "nothing is there twice")
          for (const result of again) {
            if (result._tag === "Success") continue
            // Claimed by a process that died before it had written its note, or completed before.
            assert.include(["FileNotFound", "DownloadInProgress"], result.failure.reason._tag, result.failure.message)
          }
          seen.resumed += wholes.size - finals
          assert.isAtLeast(wholes.size, Math.min(FILES, finals + notes), "every part with a note became a file")
        }, Effect.scoped)
        yield* host.inject(Fault.Drip({ bytes: 9_000, every: 2 }), { on: "download", times: 1e9 })
        yield* Effect.forEach(
          Array.from({ length: kind === "a file" ? KILLS : Math.ceil(KILLS / 2) }, (_, index) => index),
          round,
          { concurrency: 2 }
        )
        assert.isAbove(seen.cut, KILLS / 2, `most were cut: ${JSON.stringify(seen)}`)
        assert.isAbove(seen.resumed, 0, JSON.stringify(seen))
        yield* Effect.logDebug(JSON.stringify(seen))
        if (process.env["FILEIO_KILLS"] !== undefined) console.log(seen)
      }).pipe(Effect.scoped, Effect.provide(overSockets({ grace: "1 hour" }))),
    600_000
  )
})
