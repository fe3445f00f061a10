/** `tus-js-client`, which is not ours, uploads to the server through a proxy that cuts its connections. */
import { FileIoServer } from "@effect-fileio/server"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, FileSystem, Path } from "effect"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Tus from "tus-js-client"
import { cuttingProxy } from "./cuttingProxy.ts"
import { folder, server } from "./utils.ts"

const MIB = 1024 * 1024
/** In a long run, 1 GiB and a hundred cuts. */
const SIZE = Number(process.env["FILEIO_UPLOAD_MIB"] ?? 24) * MIB
const CUTS = Number(process.env["FILEIO_UPLOAD_CUTS"] ?? 10)

const sha256 = async (bytes: AsyncIterable<Uint8Array>): Promise<string> => {
  const hash = createHash("sha256")
  for await (const chunk of bytes) hash.update(chunk)
  return hash.digest("hex")
}

/** Writes a file of which each MiB is different from the others. */
const write = async (path: string): Promise<void> => {
  const file = await Fs.promises.open(path, "w")
  const block = new Uint32Array(MIB / 4)
  for (let at = 0; at < SIZE; at += MIB) {
    for (let i = 0; i < block.length; i++) block[i] = Math.imul(at + i + 1, 2654435761)
    await file.write(new Uint8Array(block.buffer))
  }
  await file.close()
}

/** Its types do not have it. */
const PROTOCOL = { protocol: "ietf-draft-05" }

/** The last response: that of the upload, or, where that was lost, of the request for the offset. */
const upload = (path: string, endpoint: string): Promise<Tus.HttpResponse> =>
  new Promise((resolve, reject) => {
    new Tus.Upload(Fs.createReadStream(path), {
      ...PROTOCOL,
      endpoint,
      uploadSize: SIZE,
      chunkSize: Infinity,
      headers: { "Content-Disposition": "inline; filename=\"from tus.bin\"" },
      retryDelays: Array.from({ length: 20 }, () => 10),
      storeFingerprintForResuming: false,
      onError: reject,
      onSuccess: ({ lastResponse }) => resolve(lastResponse)
    }).start()
  })

describe("tus-js-client", () => {
  it.live("uploads as ietf-draft-05 through a proxy that cuts its connections", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = (yield* Path.Path).join(yield* folder, "source.bin")
      yield* Effect.promise(() => write(path))
      const { url } = yield* FileIoServer.FileIoServer
      let cut = 0
      const proxy = yield* cuttingProxy(url, () => cut++ < CUTS * 2 ? Math.floor(SIZE / (CUTS + 1)) : undefined)
      const response = yield* Effect.promise(() => upload(path, `${proxy.url}/?title=tus`))
      assert.isAtLeast(proxy.cuts(), CUTS / 2, "connections were cut")
      const link = response.getHeader("File-Link")!
      assert.match(link, /^http:\/\/127\.0\.0\.1:\d+\/[A-Za-z0-9]{12}$/)
      const answer = yield* Effect.promise(() => fetch(`${url}/${link.split("/").at(-1)!}`))
      assert.strictEqual(answer.headers.get("content-length"), String(SIZE))
      assert.include(answer.headers.get("content-disposition"), "from tus.bin")
      const [got, sent] = yield* Effect.promise(() =>
        Promise.all([sha256(answer.body!), sha256(Fs.createReadStream(path))])
      )
      assert.strictEqual(got, sent)
      yield* fs.remove(path)
    }).pipe(Effect.scoped, Effect.provide([server, NodeServices.layer])), 60_000 + SIZE / 10_000)
})
