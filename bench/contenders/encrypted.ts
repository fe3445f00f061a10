/** Encrypted transfers by this SDK, and the library alone. `node encrypted.ts upload|download|library URL PATH KEY` */
import { FileTransfer, RateLimit } from "@effect-fileio/client"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { Decrypter, Encrypter } from "age-encryption"
import { Effect, Redacted } from "effect"
import { closeSync, openAsBlob, openSync, readSync, statSync } from "node:fs"
import { watchLoop } from "../internal/watchLoop.ts"

const [, , what, baseUrl, path, key] = process.argv

/** Looks at the end of a file; all of it would count as memory of this contender. */
const isRight = (path: string) => {
  const bytes = Buffer.alloc(1 << 20)
  const file = openSync(path, "r")
  readSync(file, bytes, 0, bytes.length, statSync(path).size - bytes.length)
  closeSync(file)
  return bytes.every((byte) => byte === 7)
}

const program = Effect.gen(function*() {
  const transfer = yield* FileTransfer.FileTransfer
  const stalls = watchLoop()
  const began = performance.now()
  if (what === "upload") yield* transfer.uploadFile(path!, { encryption: { recipients: [key!] } })
  if (what === "download") {
    const identities = [Redacted.make(key!)]
    yield* transfer.downloadFile("encrypted0000", { path: path! }, { identities, onCollision: "overwrite" })
  }
  const figures = { wallS: (performance.now() - began) / 1000, ...stalls() }
  if (what === "download" && !isRight(path!)) return yield* Effect.die("it is wrong")
  return figures
}).pipe(
  Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.unlimited),
  Effect.provide(NodeFileIo.layerSockets({ baseUrl: baseUrl! }))
)

/** Reads the file, encrypts or decrypts it, and throws the result away. */
const library = async () => {
  const stalls = watchLoop()
  const began = performance.now()
  const source = (await openAsBlob(path!)).stream()
  const encrypter = new Encrypter()
  const decrypter = new Decrypter()
  const isSecret = key!.startsWith("AGE-SECRET-KEY")
  if (isSecret) decrypter.addIdentity(key!)
  else encrypter.addRecipient(key!)
  for await (const _ of await (isSecret ? decrypter.decrypt(source) : encrypter.encrypt(source)));
  return { wallS: (performance.now() - began) / 1000, ...stalls() }
}

console.log(JSON.stringify(what === "library" ? await library() : await Effect.runPromise(program)))
