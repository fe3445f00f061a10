import * as Duration from "effect/Duration"
import type * as Catalog from "../../Catalog.ts"

/** The settings of leases in the server's options. */
export const of = (options: {
  readonly grace: Duration.Duration
  readonly minimumRate: number
  readonly minimumRatePatience: Duration.Duration
  readonly maxBrokenDownloads: number
}): Catalog.Options => ({
  grace: Duration.toMillis(options.grace),
  minimumRate: options.minimumRate,
  minimumRatePatience: Duration.toMillis(options.minimumRatePatience),
  maxBrokenDownloads: options.maxBrokenDownloads
})
