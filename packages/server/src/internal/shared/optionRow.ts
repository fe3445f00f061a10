/** Rows of the table of options in `ServerOptions`. */
import type * as Variable from "@effect-fileio/core/Variable"

/**
 * An option as a flag and a variable: its form, its meaning and its default.
 *
 * @category models
 * @since 0.1.0
 */
export interface Row<A> {
  /** Flag, without the dashes. The variable is `FILEIO_SERVER_` and the flag in capitals. */
  readonly flag: string
  /** Placeholder of the value in `--help`; empty if the flag takes none. */
  readonly form: string
  /** Meaning, for `--help` and the README. */
  readonly meaning: string
  readonly parse: Variable.Parse<A>
  /** Default, as written in the variable; or words for what happens without it. */
  readonly standard: { readonly text: string } | { readonly words: string }
  /** Default of an embedded server, if different. */
  readonly embedded?: { readonly text: string } | { readonly words: string }
}

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
