/** Files that their host cannot read: by a link with a secret, and for recipients. */
import { Encryption, FileBody, FileIo, FileTransfer } from "@effect-fileio/client"
import { Console, Effect, FileSystem, Stream } from "effect"
import { run } from "./internal/run.ts"

run(Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  const transfer = yield* FileTransfer.FileTransfer
  const fs = yield* FileSystem.FileSystem
  const directory = yield* fs.makeTempDirectoryScoped({ prefix: "fileio-example-" })
  const body = FileBody.text("see you at eight", { name: "plan.txt" })
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

  // The link has the secret and the name; the host has neither.
  const shared = yield* fileIo.upload(body, { encryption: "link" })
  yield* Console.log("the host sees   ", shared.name, shared.mimeType)
  yield* Console.log("the link has    ", shared.link.replace(/^.*#/, "#").replace(/KEY-1\w+/, "KEY-1…"))
  const saved = yield* transfer.downloadFile(shared.link, { directory })
  yield* Console.log("saved as        ", saved.name, text(yield* fs.readFile(saved.path)))

  // For one who has given you a public key.
  const ada = yield* Encryption.generateIdentity
  const forAda = yield* fileIo.upload(body, { encryption: { recipients: [ada.recipient] } })
  yield* fileIo.downloadBytes(forAda.link).pipe(
    Effect.catchReason("FileIoError", "InvalidRequest", (reason) => Console.log("without her key ", reason.problem))
  )
  const read = yield* fileIo.downloadBytes(forAda.link, { identities: [ada.identity] })
  yield* Console.log("with her key    ", text(read.bytes))

  // A wrong key: the encrypted file is kept, and the right key still decrypts it. `{ passphrase }` works the same way.
  const other = yield* Encryption.generateIdentity
  const forAdaToo = yield* fileIo.upload(body, { encryption: { recipients: [ada.recipient] } })
  const wrong = yield* Effect.flip(
    transfer.downloadFile(forAdaToo.link, { directory }, { identities: [other.identity] })
  )
  if (wrong.reason._tag === "DecryptionFailed") {
    const { encryptedPath = "", problem } = wrong.reason
    yield* Console.log("another key     ", problem, "and the file is kept:", yield* fs.exists(encryptedPath))
    const kept = Encryption.decrypt(fs.stream(encryptedPath), { identities: [ada.identity] })
    yield* Console.log("the right one   ", text(yield* Stream.mkUint8Array(kept)))
  }
}))
