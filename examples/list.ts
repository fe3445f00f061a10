/** Lists the account's files. */
import { FileBody, FileIo } from "@effect-fileio/client"
import { Console, Effect, Stream } from "effect"
import { run } from "./internal/run.ts"

run(Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  for (const name of ["b.txt", "a.txt", "100% sure & done?.txt"]) {
    yield* fileIo.upload(FileBody.text(name, { name }), { expires: "10m" })
  }

  // One page.
  const page = yield* fileIo.list({ search: ".txt", sort: "-created", offset: 0, limit: 2 })
  yield* Console.log(`${page.files.length} of ${page.count}:`, page.files.map((file) => file.name).join(", "))

  // All files; pages are requested as they are consumed.
  yield* Stream.runForEach(
    fileIo.listAll({ sort: "name" }),
    (file) => Console.log(file.key, file.name, `${file.size} bytes`)
  )
}))
