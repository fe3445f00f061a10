import * as Duration from "effect/Duration"
import type * as Catalog from "../../Catalog.ts"

/** The settings of leases in the server's options. */
export const of = (options: {
  readonly grace: Duration.Input
  readonly minimumRate: number
  readonly minimumRatePatience: Duration.Input
  readonly maxBrokenDownloads: number
}): Catalog.Options => ({
  grace: Duration.toMillis(Duration.fromInputUnsafe(options.grace)),
  minimumRate: options.minimumRate,
  minimumRatePatience: Duration.toMillis(Duration.fromInputUnsafe(options.minimumRatePatience)),
  maxBrokenDownloads: options.maxBrokenDownloads
})
