/** A page that only downloads. */
import { FetchFileIo, FileIo } from "@effect-fileio/client"
import { Effect } from "effect"

const read = (link: string) =>
  FileIo.makeDownloads({ baseUrl: "https://files.example.org" }).pipe(
    Effect.flatMap(({ downloadBytes }) => downloadBytes(link)),
    Effect.provide(FetchFileIo.layerTransport),
    Effect.runPromise
  )

Object.assign(globalThis, { read })
