/** Plain promises, for programs without Effect, or with Effect 3: `@effect-fileio/promise`. */
import { FileBody, FileIoError } from "@effect-fileio/promise"
import { NodeFileIo } from "@effect-fileio/promise/node"
import { withHost } from "./internal/promiseHost.ts"

await withHost(async ({ apiKey, baseUrl }) => {
  await using fileIo = await NodeFileIo.make({ baseUrl, apiKey })

  const file = await fileIo.upload(FileBody.text("see you at eight", { name: "note.txt" }), { expires: "1d" })
  console.log("link:", file.link, " is a Date:", file.expires instanceof Date)

  for await (const { downloadsLeft, name } of fileIo.listAll()) console.log("listed:", name, downloadsLeft)

  // A signal ends a call, as it does with fetch.
  await using download = await fileIo.download(file.link, { signal: AbortSignal.timeout(10_000) })
  let text = ""
  for await (const chunk of download.stream) text += new TextDecoder().decode(chunk)
  console.log(`${download.name}:`, text)

  try {
    await fileIo.downloadBytes(file.link)
  } catch (error) {
    if (!(error instanceof FileIoError.FileIoError)) throw error
    console.log(error.reason._tag, error.reason instanceof FileIoError.FileNotFound)
  }
})
