import type * as Context from "effect/Context"

/**
 * Derives a context from another. The last one is remembered, since calls come with the same one again and again, and a
 * context that is made anew is also looked through anew by the fiber that gets it.
 */
export const derived = <B>(derive: (context: Context.Context<never>) => Context.Context<B>) => {
  let from: Context.Context<never> | undefined
  let to: Context.Context<B> | undefined
  return <A>(context: Context.Context<A>): Context.Context<A | B> => {
    if (to === undefined || context !== from) {
      from = context
      to = derive(context)
    }
    return to as Context.Context<A | B>
  }
}
