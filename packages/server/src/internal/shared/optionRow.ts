/** Rows of the table of options in `ServerOptions`. */
import type * as Variable from "@effect-fileio/core/Variable"
import type { Row } from "../../ServerOptions.ts"

/** An option with a default value. */
export const row = <A>(
  flag: string,
  form: string,
  parse: Variable.Parse<A>,
  standard: string,
  meaning: string,
  embedded?: Row<A>["embedded"]
): Row<A> & { readonly standard: { readonly text: string } } => ({
  flag,
  form,
  meaning,
  parse,
  standard: { text: standard },
  ...(embedded === undefined ? {} : { embedded })
})

/** An option with no default value, whose absence means something. */
export const open = <A>(
  flag: string,
  form: string,
  parse: Variable.Parse<A>,
  standard: string,
  meaning: string,
  embedded?: Row<A>["embedded"]
): Row<A> & { readonly standard: { readonly words: string } } => ({
  flag,
  form,
  meaning,
  parse,
  standard: { words: standard },
  ...(embedded === undefined ? {} : { embedded })
})
