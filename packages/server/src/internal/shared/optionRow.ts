/** Rows of the table of options in `ServerOptions`. */
import type * as Variable from "@effect-fileio/core/Variable"
import type { Row } from "../../ServerOptions.ts"

const make = <const Standard extends Row<unknown>["standard"]>(standardOf: (standard: string) => Standard) =>
<A>(
  flag: string,
  form: string,
  parse: Variable.Parse<A>,
  standard: string,
  meaning: string,
  embedded?: Row<A>["embedded"]
): Row<A> & { readonly standard: Standard } => ({
  flag,
  form,
  meaning,
  parse,
  standard: standardOf(standard),
  ...(embedded === undefined ? {} : { embedded })
})

/** An option with a default value. */
export const row = make((text) => ({ text }))

/** An option with no default value, whose absence means something. */
export const open = make((words) => ({ words }))
