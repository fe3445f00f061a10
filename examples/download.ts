/** Downloads: by key or link, into memory, as a stream, into a folder, to a path. */
import { FileBody, FileIo, FileTransfer } from "@effect-fileio/client"
import { Console, Effect, FileSystem, Stream } from "effect"
import { run } from "./internal/run.ts"

run(Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  const transfer = yield* FileTransfer.FileTransfer
  const fs = yield* FileSystem.FileSystem
  const folder = yield* fs.makeTempDirectoryScoped({ prefix: "fileio-example-" })
  const { key, link } = yield* fileIo.upload(FileBody.text("hello", { name: "hello.txt" }), { maxDownloads: 4 })

  // Into memory.
  const { bytes, name } = yield* fileIo.downloadBytes(key)
  yield* Console.log("in memory  ", name, `${bytes.length} bytes`)

  // As a stream, with its name, size and type.
  yield* Effect.scoped(Effect.gen(function*() {
    const download = yield* fileIo.download(link)
    const text = yield* Stream.mkString(Stream.decodeText(download.stream))
    yield* Console.log("as a stream", download.name, download.size, download.contentType, JSON.stringify(text))
  }))

  // Into a folder, under its original name.
  const inFolder = yield* transfer.downloadFile(link, { directory: folder })
  yield* Console.log("in a folder", inFolder.name, `${inFolder.bytes} bytes`)

  // To a path.
  const atPath = yield* transfer.downloadFile(key, { path: `${folder}/greeting.txt` })
  yield* Console.log("at a path  ", atPath.name, `${atPath.bytes} bytes`)

  // That was the fourth time.
  yield* fileIo.downloadBytes(key).pipe(
    Effect.catchReason("FileIoError", "FileNotFound", (reason) => Console.log("once more   ", reason.message))
  )
}))
