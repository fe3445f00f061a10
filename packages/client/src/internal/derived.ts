import type * as Context from "effect/Context"

/**
 * Derives a context from another, once: calls come with the same one again and again, and a context that is made anew is also
 * looked through anew by the fiber that gets it. What is derived lives as long as what it is derived from.
 */
export const derived = <B>(derive: (context: Context.Context<never>) => Context.Context<B>) => {
  const known = new WeakMap<Context.Context<never>, Context.Context<B>>()
  return <A>(context: Context.Context<A>): Context.Context<A | B> => {
    let found = known.get(context)
    if (found === undefined) known.set(context, found = derive(context))
    return found as Context.Context<A | B>
  }
}
