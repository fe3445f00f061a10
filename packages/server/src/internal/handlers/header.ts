/**
 * The header of an age file, on which its page tries a passphrase or a key before it takes the file. It has the file's key,
 * encrypted for each recipient, and nothing of the content. Asking takes nothing.
 */
import * as Effect from "effect/Effect"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import { Blobs, BlobsError } from "../../Blobs.ts"
import { Catalog, type FileRecord } from "../../Catalog.ts"
import * as Refusal from "../http/refusal.ts"
import * as Deliver from "./deliver.ts"

/** Bytes that are read: room for the headers of 150 recipients, or of 9 post-quantum ones. */
const START_BYTES = 16 * 1024

const ARMOR = /^\s*-----BEGIN AGE ENCRYPTED FILE-----\r?\n/

/**
 * The version, at least one stanza, and the authentication code. A stanza is a line of arguments and a body in Base64, whose
 * last line is the only one that is not full. Text that looks different may be content.
 */
const HEADER =
  /^age-encryption\.org\/v1\n(?:->(?: [!-~]+)+\n(?:[A-Za-z0-9+/]{64}\n)*[A-Za-z0-9+/]{0,63}\n)+--- [A-Za-z0-9+/]{43}\n/

/** The header at the start of a file, armored or not; `undefined`: there is none, or it is longer than the start. */
const find = (start: Buffer): string | undefined => {
  const text = start.toString("latin1")
  const binary = ARMOR.test(text) ? Buffer.from(text.replace(ARMOR, ""), "base64").toString("latin1") : text
  return HEADER.exec(binary)?.[0]
}

export const make = Effect.gen(function*() {
  const blobs = yield* Blobs
  const catalog = yield* Catalog

  const readStart = Effect.fnUntraced(function*({ blob, size }: FileRecord) {
    const start = Buffer.alloc(Math.min(size, START_BYTES))
    const reader = yield* blobs.open(blob)
    const length = yield* Effect.tryPromise({
      try: () => reader.read(start, 0),
      catch: (cause) => cause instanceof BlobsError ? cause : BlobsError.from("read a blob", cause)
    })
    return start.subarray(0, length)
  }, Effect.scoped)

  return Effect.fnUntraced(function*(key: string) {
    const file = yield* catalog.get(key)
    if (Option.isNone(file) || (yield* catalog.peek(key))._tag === "Gone") return yield* Refusal.notFound(key)
    const header = yield* readStart(file.value).pipe(
      Effect.map(find),
      // The file was replaced or deleted in between; the download finds out.
      Effect.catchIf(({ code }) => code === "ENOENT", () => Effect.undefined)
    )
    return header === undefined
      ? HttpServerResponse.empty({ status: 204, headers: Deliver.guardHeaders })
      : HttpServerResponse.text(header, { contentType: "application/octet-stream", headers: Deliver.guardHeaders })
  })
})
