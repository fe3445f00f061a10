/** Several files as one archive; loaded when they are sent so. */
import * as FileBody from "@effect-fileio/client/FileBody"
import { downloadZip, predictLength } from "client-zip"
import * as Stream from "effect/Stream"
import { type Chosen, wholeOf } from "./choose.ts"
import { visible } from "./dom.ts"

const skip = <E>(bytes: Stream.Stream<Uint8Array, E>, count: number): Stream.Stream<Uint8Array, E> =>
  Stream.suspend(() => {
    let left = count
    return bytes.pipe(
      Stream.map((chunk) => {
        const skipped = Math.min(left, chunk.length)
        left -= skipped
        return chunk.subarray(skipped)
      }),
      Stream.filter((chunk) => chunk.length > 0)
    )
  })

/**
 * A separate name for each: of two entries with one name, a program that opens the archive keeps the last. Some ignore the
 * case.
 */
const distinct = (paths: ReadonlyArray<string>): ReadonlyArray<string> => {
  const taken = new Set<string>()
  return paths.map((path) => {
    // Some take a backslash for a separator of folders.
    const safe = visible(path).replaceAll("\\", "_")
    const [, start, extension = ""] = /^(.*?)(\.[^./]*)?$/s.exec(safe)!
    let name = safe
    for (let number = 2; taken.has(name.normalize().toLowerCase()); number++) name = `${start} (${number})${extension}`
    taken.add(name.normalize().toLowerCase())
    return name
  })
}

/** Several files as one ZIP archive, made while it is sent. It is the same each time, so a broken upload continues. */
export const archive = (files: ReadonlyArray<Chosen>, name: string): FileBody.FileBody => {
  const names = distinct(files.map(({ path }) => path))
  const details = files.map(({ file: { lastModified, size } }, index) => ({ name: names[index]!, size, lastModified }))
  const entries = function*() {
    for (const [index, { file }] of files.entries()) yield { ...details[index]!, input: wholeOf(file) }
  }
  const bytes = () =>
    Stream.fromReadableStream<Uint8Array, unknown>({
      evaluate: () => downloadZip(entries()).body!,
      onError: (cause) => cause
    })
  const body = FileBody.stream(bytes, {
    name,
    contentType: "application/zip",
    size: Number(predictLength(details))
  })
  return { ...body, openAt: (position, buffers) => skip(body.open(buffers), position) }
}
