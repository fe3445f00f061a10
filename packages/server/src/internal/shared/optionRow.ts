/** Rows of the table of options in `ServerOptions`. */
import type * as Variable from "@effect-fileio/core/Variable"
import type { Row } from "../../ServerOptions.ts"

const make = <A, const Standard extends Row<A>["standard"]>(
  flag: string,
  form: string,
  parse: Variable.Parse<A>,
  standard: Standard,
  meaning: string,
  embedded: Row<A>["embedded"]
): Row<A> & { readonly standard: Standard } => ({
  flag,
  form,
  meaning,
  parse,
  standard,
  ...(embedded === undefined ? {} : { embedded })
})

/** An option with a default value. */
export const row = <A>(
  flag: string,
  form: string,
  parse: Variable.Parse<A>,
  standard: string,
  meaning: string,
  embedded?: Row<A>["embedded"]
): Row<A> & { readonly standard: { readonly text: string } } =>
  make(flag, form, parse, { text: standard }, meaning, embedded)

/** An option with no default value, whose absence means something. */
export const open = <A>(
  flag: string,
  form: string,
  parse: Variable.Parse<A>,
  standard: string,
  meaning: string,
  embedded?: Row<A>["embedded"]
): Row<A> & { readonly standard: { readonly words: string } } =>
  make(flag, form, parse, { words: standard }, meaning, embedded)
