/** For a program that does not use Effect otherwise: a `ManagedRuntime` runs effects as promises. */
import { FileBody, FileIo } from "@effect-fileio/client"
import { ManagedRuntime } from "effect"
import { Host } from "./internal/Host.ts"

// Once for the whole program; `Host.layerClient` is `NodeFileIo.layerConfig()` in yours.
const runtime = ManagedRuntime.make(Host.layerClient)

const share = (text: string): Promise<string> =>
  runtime.runPromise(FileIo.FileIo.use((fileIo) => fileIo.upload(FileBody.text(text)))).then((file) => file.link)

const read = async (link: string): Promise<string> => {
  const { bytes } = await runtime.runPromise(FileIo.FileIo.use((fileIo) => fileIo.downloadBytes(link)))
  return new TextDecoder().decode(bytes)
}

const link = await share("see you at eight")
console.log("link:", link)
console.log("text:", await read(link))
await read(link).catch((error) => console.log("once more:", error.reason._tag))

await runtime.dispose()
