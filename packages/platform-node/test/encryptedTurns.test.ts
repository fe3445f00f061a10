/** How much is encrypted or decrypted in one turn of the event loop, in bytes: no time, so that it holds on any machine. */
import { Encryption, FileBody, FileIo, FileTransfer, Platform } from "@effect-fileio/client"
import { NodeHttp, NodePlatform } from "@effect-fileio/platform-node"
import { FileIoServer } from "@effect-fileio/server"
import { NodeServices } from "@effect/platform-node"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, Layer, Redacted, Stream } from "effect"
import { readFileSync, writeFileSync } from "node:fs"
import { apiKey, folder, server } from "./utils.ts"

const MIB = 1024 * 1024
/** At the 150 MB/s of the cipher in JavaScript less than 20 ms, at the speed of OpenSSL's 3 ms. */
const MAX_BYTES = 2.5 * MIB

let inTurn = 0
let most = 0
let total = 0
const count = (bytes: number) => {
  inTurn += bytes
  total += bytes
  most = Math.max(most, inTurn)
}
const cipher = Effect.map(NodePlatform.make.cipher, ({ open, seal }): Platform.Cipher => ({
  seal: (key, nonce, plaintext, into) => {
    count(plaintext.length)
    seal(key, nonce, plaintext, into)
  },
  open: (key, nonce, sealed, into) => {
    count(sealed.length)
    return open(key, nonce, sealed, into)
  }
}))

/** The client over the real server, with a cipher that counts. */
const counted = Layer.unwrap(Effect.map(FileIoServer.FileIoServer, ({ url }) =>
  FileTransfer.layer.pipe(
    Layer.provideMerge(FileIo.layerTransport({ baseUrl: url, apiKey })),
    Layer.provide(NodeHttp.layerSockets())
  ))).pipe(
    Layer.provideMerge(Layer.succeed(Platform.CurrentPlatform, { ...NodePlatform.make, cipher })),
    Layer.provideMerge(server),
    Layer.provideMerge(NodeServices.layer)
  )

/** Fails if a turn of the event loop had too many bytes, or if not all of them went through the cipher. */
const bounded = <A, E, R>(what: string, bytes: number, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    inTurn = most = total = 0
    let isOver = false
    const turn = () => {
      inTurn = 0
      if (!isOver) setImmediate(turn)
    }
    setImmediate(turn)
    const end = Effect.sync(() => {
      isOver = true
    })
    const result = yield* Effect.ensuring(effect, end)
    assert.isAtLeast(total, bytes, what)
    assert.isAtMost(most, MAX_BYTES, what)
    return result
  })

describe("one turn of the event loop", () => {
  layer(counted, { excludeTestServices: true })("works at a bounded piece of a large encrypted file", (it) => {
    it.effect("in memory, however large the pieces are that it comes in", () =>
      Effect.gen(function*() {
        const bytes = new Uint8Array(32 * MIB).fill(7)
        const { body, linkOf } = yield* Encryption.encrypt(FileBody.bytes(bytes), "link")
        const encrypted = yield* bounded("encrypt", bytes.length, Stream.mkUint8Array(body.open("owned")))
        const [, secret] = /age=([^&]+)/.exec(linkOf("http://localhost/abc"))!
        const identities = [Redacted.make(secret!)]
        const decrypted = Stream.mkUint8Array(Encryption.decrypt(Stream.succeed(encrypted), { identities }))
        assert.isTrue(Buffer.from(bytes).equals(yield* bounded("decrypt", bytes.length, decrypted)))
      }))

    it.effect("from disk to disk, over the network", () =>
      Effect.gen(function*() {
        const transfer = yield* FileTransfer.FileTransfer
        const directory = yield* folder
        const source = `${directory}/source.bin`
        const bytes = Buffer.alloc(32 * MIB, "a file of some size")
        writeFileSync(source, bytes)
        const upload = transfer.uploadFile(source, { encryption: "link" })
        const { link } = yield* bounded("upload", bytes.length, upload)
        const download = transfer.downloadFile(link, { path: `${directory}/a.bin` })
        const { path } = yield* bounded("download", bytes.length, download)
        assert.isTrue(bytes.equals(readFileSync(path)))
      }))
  })
})
