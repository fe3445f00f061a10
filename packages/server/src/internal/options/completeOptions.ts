/** The options of a server with their defaults, and with each duration parsed once. */
import * as DurationInput from "@effect-fileio/core/DurationInput"
import { InvalidOption } from "@effect-fileio/core/InvalidOption"
import * as Variable from "@effect-fileio/core/Variable"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import type * as Plans from "../../Plans.ts"
import * as ServerOptions from "../../ServerOptions.ts"

type Durations = {
  [Name in keyof typeof ServerOptions.table]: (typeof ServerOptions.table)[Name] extends
    ServerOptions.Row<Duration.Duration> ? Name : never
}[keyof typeof ServerOptions.table]

type Given = ServerOptions.TemporaryOptions
type WithDefaults = ReturnType<typeof ServerOptions.withDefaults<Given, typeof ServerOptions.defaults>>

export type Complete =
  & Omit<WithDefaults, Durations | "plans">
  & { readonly [Name in Exclude<Durations, "maxLife">]: Duration.Duration }
  & {
    readonly maxLife?: Duration.Duration | undefined
    readonly plans?: Readonly<Record<string, Partial<Plans.Plan>>> | undefined
  }

const finite = (option: string, input: DurationInput.DurationInput): Duration.Duration => {
  const duration = DurationInput.parseOptionUnsafe(option, input)
  if (Duration.isFinite(duration)) return duration
  throw new InvalidOption({ option, problem: "allowed: a time that ends" })
}

const planOf = (name: string, { maxExpires, ...plan }: Plans.Options): Partial<Plans.Plan> => ({
  ...plan,
  ...(maxExpires === undefined
    ? {}
    : { maxExpires: maxExpires === null ? null : finite(`plans: ${JSON.stringify(name)}.maxExpires`, maxExpires) })
})

/** Fails with the first option that is no duration. */
export const complete = (given: Given): Result.Result<Complete, InvalidOption> =>
  Result.try({
    try: (): Complete => {
      const options = ServerOptions.withDefaults(given, ServerOptions.defaults)
      const parsed = Object.entries<ServerOptions.Row<unknown>>(ServerOptions.table)
        .filter(([name, { parse }]) => parse === Variable.duration && options[name as Durations] !== undefined)
        .map(([name]) => [name, finite(name, options[name as Durations]!)])
      const plans = given.plans === undefined
        ? undefined
        : Object.fromEntries(Object.entries(given.plans).map(([name, plan]) => [name, planOf(name, plan)]))
      return { ...options, ...Object.fromEntries(parsed), plans } as Complete
    },
    catch: (cause) => {
      if (cause instanceof InvalidOption) return cause
      throw cause
    }
  })
