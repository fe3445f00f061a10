/** The handlers of the seven calls, over the catalog and the blobs. An empty owner means no key. */
import * as Effect from "effect/Effect"
import * as Download from "./download.ts"
import * as Files from "./files.ts"
import * as Header from "./header.ts"
import * as Resumable from "./resumable.ts"
import * as Status from "./status.ts"
import * as Storing from "./storing.ts"
import * as Upload from "./upload.ts"

/** The handler of each call. */
export const make = Effect.gen(function*() {
  const storing = yield* Storing.make
  return {
    download: yield* Download.make,
    ...yield* Files.make,
    ...yield* Upload.make(storing),
    header: yield* Header.make,
    status: yield* Status.make,
    resumable: yield* Resumable.make(storing)
  }
})
