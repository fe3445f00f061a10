import { FileBody, FileIo, FileTransfer, type Progress, RateLimit, RetryPolicy } from "@effect-fileio/client"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { FileIoServer } from "@effect-fileio/server"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, FileSystem, Layer, Path, Stream } from "effect"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import { cuttingProxy } from "./cuttingProxy.ts"
import { apiKey, folder, server } from "./utils.ts"

/** Bytes between two cuts; 1 in a long run. */
const STEP = Number(process.env["FILEIO_CUT_STEP"] ?? 29)
const MIB = 1024 * 1024
/** In a long run, 1 GiB and a hundred cuts. */
const SIZE = Number(process.env["FILEIO_UPLOAD_MIB"] ?? 9) * MIB
const CUTS = Number(process.env["FILEIO_UPLOAD_CUTS"] ?? 2)

/** Writes a file whose every MiB is different. */
const writeLarge = async (path: string): Promise<void> => {
  const file = await Fs.promises.open(path, "w")
  for (let at = 0; at < SIZE; at += MIB) await file.write(pattern(MIB, at))
  await file.close()
}

const sha256 = async (path: string): Promise<string> => {
  const hash = createHash("sha256")
  for await (const chunk of Fs.createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest("hex")
}

const pattern = (size: number, seed = 0): Uint8Array<ArrayBuffer> => {
  const bytes = new Uint8Array(size)
  const words = new Uint32Array(bytes.buffer, 0, size >> 2)
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(seed + i + 1, 2654435761)
  return bytes
}

/** A client, a proxy that cuts, and a server. */
const through = (
  next: () => number | undefined,
  options: Parameters<typeof NodeFileIo.layer>[0] = {}
) =>
  Effect.gen(function*() {
    const { url } = yield* FileIoServer.FileIoServer
    const proxy = yield* cuttingProxy(url, next)
    const context = yield* Layer.build(
      NodeFileIo.layer({ baseUrl: proxy.url, ...options }).pipe(Layer.provide(RateLimit.layer(RateLimit.unlimited)))
    )
    const direct = yield* Layer.build(Layer.fresh(NodeFileIo.layer({ baseUrl: url })))
    return {
      proxy,
      fileIo: yield* FileIo.FileIo.pipe(Effect.provide(context)),
      direct: yield* FileIo.FileIo.pipe(Effect.provide(direct))
    }
  })

const quick = RetryPolicy.make({ base: "1 millis", maxDelay: "10 millis" })

describe("an upload that breaks", () => {
  it.live("continues where it stopped, however often it breaks", () =>
    Effect.gen(function*() {
      const content = pattern(24 * MIB)
      let cuts = 0
      // Every connection that carries a part of the file breaks, until it was cut twelve times.
      const { direct, fileIo, proxy } = yield* through(() => cuts++ < 24 ? 2 * MIB : undefined)
      const events: Array<Progress.Progress> = []
      const file = yield* fileIo.upload(
        FileBody.bytes(content, { name: "größe \"1\".bin", contentType: "image/png" }),
        {
          title: "t",
          maxDownloads: 2,
          onProgress: (event) => Effect.sync(() => void events.push(event))
        }
      ).pipe(FileIo.withRetry(quick))
      assert.isAbove(proxy.cuts(), 5)
      assert.strictEqual(file.size, content.length)
      assert.strictEqual(file.name, "größe \"1\".bin")
      assert.strictEqual(file.mimeType, "image/png")
      assert.strictEqual(file.title, "t")
      assert.strictEqual(file.maxDownloads, 2)
      assert.strictEqual(proxy.requests().filter((line) => line === "POST /?maxDownloads=2&title=t").length, 1)
      const back = yield* direct.downloadBytes(file.key)
      assert.isTrue(Buffer.from(back.bytes).equals(content))
      // Each attempt starts at the host's offset, never at the beginning again.
      const starts = events.filter(({ _tag }) => _tag === "Started").map(({ bytes }) => bytes)
      assert.deepStrictEqual(starts, starts.toSorted((a, b) => a - b))
      assert.isAbove(starts.at(-1)!, 0)
      assert.strictEqual(events.at(-1)!._tag, "Finished")
      assert.strictEqual(events.at(-1)!.bytes, content.length)
    }).pipe(Effect.scoped, Effect.provide(server)))

  it.live("continues from each byte at which a small one breaks", () =>
    Effect.gen(function*() {
      const content = pattern(600)
      let next: number | undefined
      const { direct, fileIo, proxy } = yield* through(() => next, { resumableFrom: 1 })
      const body = FileBody.bytes(content, { name: "a.bin" })
      // The length of this upload without a break.
      const whole = yield* fileIo.upload(body)
      yield* direct.delete(whole.key).pipe(Effect.ignore)
      for (let cut = 1; cut < 1200; cut += STEP) {
        const before = proxy.cuts()
        next = cut
        const uploading = fileIo.upload(body).pipe(
          FileIo.withRetry(RetryPolicy.make({ base: "1 millis", times: 20 }))
        )
        const file = yield* Effect.raceFirst(
          uploading,
          // One cut per upload: later connections stay open.
          Effect.andThen(
            Effect.promise(async () => {
              while (proxy.cuts() === before) await new Promise((resolve) => setImmediate(resolve))
              next = undefined
            }),
            Effect.never
          )
        )
        const back = yield* direct.downloadBytes(file.key)
        assert.isTrue(Buffer.from(back.bytes).equals(content), `cut after ${cut} bytes`)
      }
    }).pipe(Effect.scoped, Effect.provide(server)))

  for (const encryption of [undefined, "link"] as const) {
    it.live(
      `continues from a file on the disk, in the same memory at any size${
        encryption === undefined ? "" : ", encrypted"
      }`,
      () =>
        Effect.gen(function*() {
          const path = yield* Path.Path
          const source = path.join(yield* folder, "big.bin")
          yield* Effect.promise(() => writeLarge(source))
          let connections = 0
          const { direct, fileIo, proxy } = yield* through(
            () => connections++ < CUTS * 2 ? Math.floor(SIZE / (CUTS + 1)) : undefined
          )
          const before = process.memoryUsage.rss()
          let most = before
          const file = yield* fileIo.upload(yield* FileBody.file(source), {
            encryption,
            onProgress: () => Effect.sync(() => void (most = Math.max(most, process.memoryUsage.rss())))
          }).pipe(FileIo.withRetry(quick))
          assert.isAtLeast(proxy.cuts(), CUTS / 2)
          const hash = createHash("sha256")
          yield* Effect.scoped(Effect.flatMap(direct.download(file.link), ({ stream }) =>
            Stream.runForEach(stream, (chunk) =>
              Effect.sync(() => hash.update(chunk)))))
          assert.strictEqual(
            hash.digest("hex"),
            yield* Effect.promise(() =>
              sha256(source)
            )
          )
          // The client, the proxy and the server are in this process.
          const growth = Math.round((most - before) / MIB)
          assert.isBelow(growth, 200)
          if (SIZE > 9 * MIB) {
            process.stderr.write(`${SIZE / MIB} MiB, ${proxy.cuts()} cuts, memory grows by ${growth} MiB\n`)
          }
        }).pipe(Effect.scoped, Effect.provide([server, NodeServices.layer])),
      60_000 + SIZE / 10_000
    )
  }

  it.live("continues in another client by its note, which is gone afterwards", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = yield* Path.Path
      const room = yield* folder
      const source = path.join(room, "big.bin")
      const notes = path.join(room, "notes")
      const content = pattern(9 * MIB)
      yield* fs.writeFile(source, content)
      const { url } = yield* FileIoServer.FileIoServer
      let isCut = true
      const proxy = yield* cuttingProxy(url, () => isCut ? 4 * MIB : undefined)
      const transfer = Effect.map(
        Layer.build(Layer.fresh(NodeFileIo.layer({ baseUrl: proxy.url }))),
        (context) => Context.get(context, FileTransfer.FileTransfer)
      )
      const error = yield* Effect.flip(FileIo.withRetry(
        (yield* transfer).uploadFile(source, { notes, maxDownloads: 2 }),
        RetryPolicy.none
      ))
      assert.strictEqual(error.stored, "no")
      assert.lengthOf(yield* fs.readDirectory(notes), 1)
      isCut = false
      // With other settings it is another upload.
      yield* (yield* transfer).uploadFile(source, { notes, maxDownloads: 3 })
      assert.lengthOf(yield* fs.readDirectory(notes), 1)
      const before = proxy.requests().length
      const file = yield* (yield* transfer).uploadFile(source, { notes, maxDownloads: 2 })
      assert.deepStrictEqual(
        proxy.requests().slice(before).map((line) => line.split(" ")[0]),
        ["OPTIONS", "HEAD", "PATCH"]
      )
      assert.deepStrictEqual(yield* fs.readDirectory(notes), [])
      const got = yield* Effect.promise(() => fetch(`${url}/${file.key}`).then((response) => response.arrayBuffer()))
      assert.isTrue(Buffer.from(got).equals(content))
    }).pipe(Effect.scoped, Effect.provide([server, NodeServices.layer])))

  it.live("gives a file another content", () =>
    Effect.gen(function*() {
      let connections = 0
      const { fileIo } = yield* through(() => connections++ === 1 ? 5 * MIB : undefined, { apiKey })
      const { key } = yield* fileIo.upload(FileBody.text("old"), { title: "kept" })
      const content = pattern(8 * MIB)
      const changed = yield* fileIo.update(key, { file: FileBody.bytes(content, { name: "new.bin" }) }).pipe(
        FileIo.withRetry(quick)
      )
      assert.strictEqual(changed.key, key)
      assert.strictEqual(changed.title, "kept")
      assert.strictEqual(changed.size, content.length)
      const back = yield* fileIo.downloadBytes(key)
      assert.isTrue(Buffer.from(back.bytes).equals(content))
    }).pipe(Effect.scoped, Effect.provide(server)))

  it.live(
    "is not asked for anything by a client that has seen what the host can do, and knows it from no other",
    () =>
      Effect.gen(function*() {
        const { fileIo, proxy } = yield* through(() => undefined, { apiKey })
        yield* fileIo.upload(FileBody.bytes(pattern(5 * MIB)))
        assert.deepStrictEqual(
          proxy.requests().map((line) => line.replace(/uploads\/.*/, "uploads/…")),
          ["GET /me", "POST /", "PATCH /uploads/…"]
        )
        const small = yield* through(() => undefined)
        yield* small.fileIo.upload(FileBody.bytes(pattern(3 * MIB)))
        yield* small.fileIo.upload(FileBody.bytes(pattern(5 * MIB)))
        assert.deepStrictEqual(
          small.proxy.requests().map((line) => line.replace(/uploads\/.*/, "uploads/…")),
          ["POST /", "POST /", "PATCH /uploads/…"]
        )
        const first = yield* through(() => undefined)
        yield* first.fileIo.upload(FileBody.bytes(pattern(5 * MIB)))
        assert.strictEqual(first.proxy.requests()[0], "OPTIONS /")
        const off = yield* through(() => undefined, { resumableFrom: Infinity })
        yield* off.fileIo.upload(FileBody.bytes(pattern(5 * MIB)))
        assert.deepStrictEqual(off.proxy.requests(), ["POST /"])
      }).pipe(Effect.scoped, Effect.provide(server))
  )
})
