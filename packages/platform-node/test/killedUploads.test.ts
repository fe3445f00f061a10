/**
 * `kill -9` of a process that uploads, at any moment: the same call continues, and the host has the file once.
 * `FILEIO_KILLS=300` makes it long.
 */
import { FileIo } from "@effect-fileio/client"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { FileIoServer } from "@effect-fileio/server"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Layer, Path, Redacted } from "effect"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { cuttingProxy } from "./cuttingProxy.ts"
import { bytesOf } from "./faults/support.ts"
import { apiKey, folder, server } from "./utils.ts"

const KILLS = Number(process.env["FILEIO_KILLS"] ?? 5)
const FILE = bytesOf(24 * 1024 * 1024)
const script = fileURLToPath(new URL("./faults/uploader.ts", import.meta.url))

/** Runs an uploader, and kills it when it is time. Returns the key of the file if it was done before. */
const runUntil = (isTime: () => boolean, args: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const env = { ...process.env, UPLOADER_KEY: Redacted.value(apiKey) }
    const child = spawn(process.execPath, [script, ...args], { env, stdio: ["ignore", "pipe", "inherit"] })
    let key = ""
    child.stdout.on("data", (chunk: Buffer) => key += String(chunk))
    const exited = once(child, "close")
    while (child.exitCode === null && !isTime()) await new Promise((resolve) => setTimeout(resolve, 1))
    child.kill("SIGKILL")
    await exited
    return { key: key.trim(), isKilled: child.signalCode === "SIGKILL" }
  })

/** An uploader of one file, and what the host and the folder of its notes have. */
const setUp = Effect.gen(function*() {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const room = yield* folder
  const [source, notes] = [path.join(room, "source.bin"), path.join(room, "notes")]
  yield* fs.writeFile(source, FILE)
  const { url } = yield* FileIoServer.FileIoServer
  const proxy = yield* cuttingProxy(url, () => undefined)
  const client = yield* Layer.build(NodeFileIo.layer({ baseUrl: url, apiKey }))
  const fileIo = yield* FileIo.FileIo.pipe(Effect.provide(client))
  return {
    fileIo,
    stored: Effect.map(fileIo.list(), ({ files }): ReadonlyArray<string> => files.map(({ key }) => key)),
    notesLeft: Effect.orElseSucceed(fs.readDirectory(notes), () => []),
    /** Runs the uploader until it has sent these bytes; also returns whether it has continued an upload. */
    upload: (bytes: number) =>
      Effect.suspend(() => {
        const [requests, sent] = [proxy.requests().length, proxy.bytes()]
        return Effect.map(runUntil(() => proxy.bytes() - sent >= bytes, [proxy.url, source, notes]), (ran) => ({
          ...ran,
          isContinued: proxy.requests().slice(requests).some((line) => line.startsWith("HEAD"))
        }))
      })
  }
})

describe("kill -9 of an uploader", () => {
  it.live(
    "the same call continues, the host has the whole file once, and no note is left",
    () =>
      Effect.gen(function*() {
        const { fileIo, notesLeft, stored, upload } = yield* setUp
        const seen = { kills: 0, files: 0, continued: 0 }
        const round = Effect.fnUntraced(function*(bytes: number) {
          const { isContinued, isKilled, key } = yield* upload(bytes)
          if (isKilled) seen.kills++
          if (isContinued) seen.continued++
          assert.isTrue(isKilled || key !== "", "it does not fail by itself")
          const keys = yield* stored
          // It may die after it has removed the note, and before it has said the key.
          const isComplete = key !== "" || (keys.length > 0 && (yield* notesLeft).length === 0)
          if (!isComplete) return
          assert.deepStrictEqual(keys, key === "" ? keys.slice(0, 1) : [key])
          const back = yield* fileIo.downloadBytes(keys[0]!)
          assert.isTrue(Buffer.from(back.bytes).equals(FILE))
          seen.files++
        })
        for (let index = 0; seen.kills < KILLS; index++) yield* round(1 + (index * 5_000_011) % (FILE.length + 2000))
        if ((yield* notesLeft).length > 0) yield* round(Infinity)
        assert.deepStrictEqual(yield* notesLeft, [])
        assert.deepStrictEqual(yield* stored, [])
        assert.isAbove(seen.continued, 0)
        if (KILLS > 5) process.stderr.write(`killed uploads: ${JSON.stringify(seen)}\n`)
      }).pipe(Effect.scoped, Effect.provide([server, NodeServices.layer])),
    120_000 + KILLS * 10_000
  )
})
