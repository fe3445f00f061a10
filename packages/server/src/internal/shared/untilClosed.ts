import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"

/**
 * Begins something in memory that ends with the scope. `Effect.acquireRelease` also keeps all services for the end, and copies
 * them twice for it, which takes as long as parsing the head of a form.
 */
export const untilClosed = <A>(begin: () => A, end: (begun: A) => void): Effect.Effect<A, never, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (scope) => {
    const begun = begin()
    return Effect.as(Scope.addFinalizer(scope, Effect.sync(() => end(begun))), begun)
  }).pipe(Effect.uninterruptible)
