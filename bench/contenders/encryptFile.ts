/** Encrypts a file by this SDK. `node encryptFile.ts PATH TARGET RECIPIENT` */
import { Encryption, FileBody } from "@effect-fileio/client"
import { NodePlatform } from "@effect-fileio/platform-node"
import { NodeServices } from "@effect/platform-node"
import { Effect, FileSystem, Layer, Stream } from "effect"

const [, , path, target, recipient] = process.argv

await Effect.runPromise(
  Effect.gen(function*() {
    const fs = yield* FileSystem.FileSystem
    const { body } = yield* Encryption.encrypt(yield* FileBody.file(path!), { recipients: [recipient!] })
    yield* Stream.run(body.open("owned"), fs.sink(target!))
  }).pipe(Effect.provide(Layer.merge(NodeServices.layer, NodePlatform.layer)))
)
