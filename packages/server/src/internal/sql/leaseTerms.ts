import * as Duration from "effect/Duration"
import { defaults } from "../../ServerOptions.ts"
import type { Terms } from "./lease.ts"

/** The operator's settings, in milliseconds and bytes per second. */
export interface Options {
  readonly grace: number
  readonly minimumRate?: number | undefined
  readonly minimumRatePatience?: number | undefined
}

/** How long leases last, by the operator's settings. */
export const of = (
  { grace, minimumRate = defaults.minimumRate, minimumRatePatience = Duration.toMillis(defaults.minimumRatePatience) }:
    Options
): Terms => ({
  // The catalogs have whole milliseconds.
  grace: Math.ceil(grace),
  minimumRate,
  patience: Math.ceil(minimumRatePatience)
})
