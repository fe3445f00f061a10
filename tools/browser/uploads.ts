/** A page that only uploads. */
import { FetchFileIo, FileBody, FileIo } from "@effect-fileio/client"
import { Effect } from "effect"

const send = (file: File) =>
  FileIo.makeUploads({ baseUrl: "https://files.example.org" }).pipe(
    Effect.flatMap(({ upload }) => upload(FileBody.blob(file))),
    Effect.provide(FetchFileIo.layerTransport),
    Effect.runPromise
  )

Object.assign(globalThis, { send })
