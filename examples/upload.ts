/** Uploads: kinds of content, and settings. */
import { FileBody, FileIo, FileTransfer } from "@effect-fileio/client"
import { Console, DateTime, Duration, Effect, Stream } from "effect"
import { run } from "./internal/run.ts"

run(Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  const transfer = yield* FileTransfer.FileTransfer

  // From a path.
  const readme = yield* transfer.uploadFile(`${import.meta.dirname}/../README.md`, { expires: "10m" })
  yield* Console.log("a path    ", readme.link)

  // A text that can be downloaded five times until the end of 2099, and is kept for its owner after that.
  const text = yield* fileIo.upload(FileBody.text("see you at eight", { name: "note.txt" }), {
    expires: "2099-12-31T23:59:59",
    maxDownloads: 5,
    autoDelete: false,
    title: "Tonight"
  })
  yield* Console.log("a text    ", text.link)

  // Bytes, without any limit.
  const bytes = yield* fileIo.upload(FileBody.bytes(Uint8Array.of(1, 2, 3), { name: "three.bin" }), {
    expires: "never",
    maxDownloads: "unlimited"
  })
  yield* Console.log("bytes     ", bytes.link)

  // A stream that can be created again, so that a failed attempt can be repeated. An expiry can also be a Date, a DateTime or a
  // Duration.
  const lines = () => Stream.range(1, 1000).pipe(Stream.map((n) => `line ${n}\n`), Stream.encodeText)
  const stream = yield* fileIo.upload(FileBody.stream(lines, { name: "lines.txt" }), { expires: Duration.hours(12) })
  yield* Console.log("a stream  ", stream.link, `${stream.size} bytes`)

  // A stream that can be read only once is sent only once.
  const once = yield* fileIo.uploadOnce(FileBody.once(lines(), { name: "once.txt" }), {
    expires: DateTime.makeUnsafe("2099-01-01T00:00:00Z")
  })
  yield* Console.log("just once ", once.link)
}))
