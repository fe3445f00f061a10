import * as Effect from "effect/Effect"

/** Loads a module, and lets other work run before the next one. */
const load = <A>(module: () => Promise<A>): Effect.Effect<A> =>
  Effect.tap(Effect.promise(module), () => Effect.yieldNow)

/**
 * Loads the library when it is first needed, and first what it imports, piece by piece: to evaluate all of it at once would hold the
 * event loop for 25 ms.
 */
export const loadLibrary = Effect.gen(function*() {
  yield* load(() => import("@noble/hashes/scrypt.js"))
  yield* load(() => import("@noble/ciphers/chacha.js"))
  yield* load(() => import("@noble/post-quantum/ml-kem.js"))
  yield* load(() => import("@noble/post-quantum/hybrid.js"))
  return yield* load(() => import("./library.ts"))
})
