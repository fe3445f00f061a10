/** The seven calls, over the catalog and the blobs. An empty owner stands for everybody without a key. */
import * as Effect from "effect/Effect"
import * as Download from "./handlers/download.ts"
import * as Files from "./handlers/files.ts"
import * as Upload from "./handlers/upload.ts"
import * as Problem from "./problem.ts"

export type { Problem } from "./problem.ts"

/** What answers each call. */
export const make = Effect.gen(function*() {
  const { refuse } = yield* Problem.make
  return { refuse, download: yield* Download.make, ...yield* Files.make, ...yield* Upload.make }
})
