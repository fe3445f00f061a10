import * as Duration from "effect/Duration"
import type * as Catalog from "../../Catalog.ts"

/** How the catalog keeps leases, as the options of the server say it. */
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
