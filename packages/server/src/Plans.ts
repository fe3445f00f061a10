/**
 * The limits of an account's plan.
 *
 * @since 0.1.0
 */
import type { DurationInput } from "@effect-fileio/core/DurationInput"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"

/**
 * The limits of a plan.
 *
 * @category models
 * @since 0.1.0
 */
export interface Plan {
  /** The plan's number, for `planId`. */
  readonly id: number
  /** Largest file, in bytes. */
  readonly maxUploadBytes: number
  /** Storage of an account, in bytes; all anonymous files share one. */
  readonly maxStorageBytes: number
  /** Requests per second of an account; `null`: no limit. */
  readonly rateLimit: number | null
  /** Most downloads of a file; `null`: unlimited is allowed too. */
  readonly maxDownloads: number | null
  /** Longest life of a file; `null`: never expiring is allowed too. */
  readonly maxExpires: Duration.Duration | null
  /** Whether `autoDelete: false` is allowed. */
  readonly keepsFiles: boolean
  /** Whether browsers get the bytes too, instead of a page with a button. */
  readonly directDownload: boolean
}

/**
 * The limits of a plan that are set; `maxExpires` in any form, such as `"90 days"` or `"90d"`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options extends Partial<Omit<Plan, "maxExpires">> {
  /** Longest life of a file; `null`: never expiring is allowed too. */
  readonly maxExpires?: DurationInput | null | undefined
}

/**
 * The contract's free plan: 2 GB per file, one download, at most one year, always deleted afterwards.
 *
 * @category plans
 * @since 0.1.0
 */
export const free: Plan = {
  id: 0,
  maxUploadBytes: 2 * 1024 ** 3,
  maxStorageBytes: 100 * 1024 ** 3,
  rateLimit: 3,
  maxDownloads: 1,
  // A year may have 366 days, and a client's clock may be a little ahead.
  maxExpires: Duration.days(367),
  keepsFiles: false,
  directDownload: false
}

/**
 * Everything is allowed: any number of downloads, no expiry, direct links.
 *
 * @category plans
 * @since 0.1.0
 */
export const premium: Plan = {
  id: 1,
  maxUploadBytes: 100 * 1024 ** 3,
  maxStorageBytes: 1024 ** 4,
  rateLimit: 100,
  maxDownloads: null,
  maxExpires: null,
  keepsFiles: true,
  directDownload: true
}

/**
 * Plans by name.
 *
 * @category services
 * @since 0.1.0
 */
export class Plans extends Context.Service<Plans, {
  readonly all: ReadonlyMap<string, Plan>
  /** The plan of that name; `free` for a file or an account whose plan no longer exists. */
  readonly get: (name: string) => Plan
}>()("@effect-fileio/server/Plans") {}

/**
 * A plan does not exist.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownPlan extends Schema.TaggedError<UnknownPlan>("@effect-fileio/server/UnknownPlan")("UnknownPlan", {
  plan: Schema.String,
  known: Schema.Array(Schema.String)
}) {
  override get message() {
    return `there is no plan ${this.plan}; known: ${this.known.join(", ")}`
  }
}

/**
 * The plans `free` and `premium`, and the given ones: a plan of a known name overrides the limits that it sets, a new one
 * starts from `free`. With `maxLife` no plan keeps a file for longer.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  given: Readonly<Record<string, Partial<Plan>>> = {},
  { maxLife }: { readonly maxLife?: Duration.Duration | undefined } = {}
): Plans["Service"] => {
  const all = new Map<string, Plan>([["free", free], ["premium", premium]])
  for (const [name, plan] of Object.entries(given)) {
    const base = all.get(name) ?? { ...free, id: all.size }
    all.set(name, { ...base, ...plan })
  }
  if (maxLife !== undefined) {
    for (const [name, plan] of all) {
      const maxExpires = plan.maxExpires === null ? maxLife : Duration.min(plan.maxExpires, maxLife)
      all.set(name, { ...plan, maxExpires, keepsFiles: false })
    }
  }
  return Plans.of({ all, get: (name) => all.get(name) ?? all.get("free")! })
}

/**
 * Fails with the first name that is no plan's.
 *
 * @category checking
 * @since 0.1.0
 */
export const check = ({ all }: Plans["Service"], names: Iterable<string>): Effect.Effect<void, UnknownPlan> => {
  for (const plan of names) if (!all.has(plan)) return Effect.fail(new UnknownPlan({ plan, known: [...all.keys()] }))
  return Effect.void
}

/**
 * The plans `free` and `premium`, with the given ones.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (given?: Readonly<Record<string, Partial<Plan>>>): Layer.Layer<Plans> =>
  Layer.succeed(Plans, make(given))
