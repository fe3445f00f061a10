/**
 * Uploads a file that a visitor chose, with core and client over `fetch`, without Node. Bundled, this runs in a browser; the
 * host must allow the page's origin.
 */
import { FetchFileIo, FileBody, FileIo } from "@effect-fileio/client"
import { Console, Effect } from "effect"
import { Host } from "./internal/Host.ts"
import { run } from "./internal/run.ts"

/** In a page: `input.files[0]`. */
const chosen = new File(["a picture, let's say"], "holiday.png", { type: "image/png" })

const share = Effect.gen(function*() {
  const fileIo = yield* FileIo.FileIo
  const file = yield* fileIo.upload(FileBody.blob(chosen), {
    expires: "1d",
    onProgress: ({ _tag, bytes, total }) => Console.log(_tag, `${bytes} of ${total} bytes`)
  })
  yield* Console.log("link:", file.link)

  const { bytes, contentType, name } = yield* fileIo.downloadBytes(file.link)
  yield* Console.log("back:", name, contentType, `${bytes.length} bytes`)
})

// Pages have no secrets: without a key, uploads are anonymous.
run(Effect.flatMap(Host, ({ baseUrl }) => Effect.provide(share, FetchFileIo.layer({ baseUrl }))))
