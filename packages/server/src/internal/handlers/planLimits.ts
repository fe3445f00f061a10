/** Checks requested settings against a plan. */
import * as Expires from "@effect-fileio/core/Expires"
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import type { Plan } from "../../Plans.ts"
import * as Refusal from "../http/refusal.ts"

type Given = typeof FileSettings.FileSettingsFromFields.Type

const seconds = (millis: number) => Math.round(millis / 1000)

const expires = (
  asked: Expires.Expires,
  plan: Plan,
  now: number
): Result.Result<number | null, Refusal.Refusal> => {
  const time = Expires.resolve(asked, DateTime.makeUnsafe(now))
  const at = time === null ? null : DateTime.toEpochMillis(time)
  if (at !== null && at <= now) return Result.fail(Refusal.invalid("expires: the time is in the past"))
  if (plan.maxExpires === null) return Result.succeed(at)
  const longest = Duration.toMillis(plan.maxExpires)
  if (at !== null && at - now <= longest) return Result.succeed(at)
  return Result.fail(
    Refusal.planLimit("expires", `The plan keeps files for at most ${Duration.format(plan.maxExpires)}`, {
      allowed: seconds(longest),
      ...(at === null ? {} : { asked: seconds(at - now) })
    })
  )
}

/** The default, or less if the plan allows only less. */
const defaultExpires = (plan: Plan, now: number): number => {
  const standard = DateTime.toEpochMillis(Expires.resolve(Expires.hostDefault, DateTime.makeUnsafe(now))!)
  return plan.maxExpires === null ? standard : Math.min(standard, now + Duration.toMillis(plan.maxExpires))
}

const maxDownloads = (
  asked: FileSettings.MaxDownloads,
  plan: Plan
): Result.Result<number | null, Refusal.Refusal> => {
  const limit = asked === "unlimited" ? null : asked
  if (plan.maxDownloads === null || (limit !== null && limit <= plan.maxDownloads)) return Result.succeed(limit)
  return Result.fail(Refusal.planLimit("maxDownloads", `The plan allows ${plan.maxDownloads} download(s) of a file`, {
    allowed: plan.maxDownloads,
    ...(limit === null ? {} : { asked: limit })
  }))
}

const autoDelete = (asked: boolean, plan: Plan): Result.Result<boolean, Refusal.Refusal> =>
  asked || plan.keepsFiles
    ? Result.succeed(asked)
    : Result.fail(Refusal.planLimit("autoDelete", "The plan deletes files that are used up or expired", {}))

export interface Granted {
  readonly title?: string | null
  readonly expires?: number | null
  readonly maxDownloads?: number | null
  readonly autoDelete?: boolean
  readonly countFrom?: FileSettings.CountFrom
}

function* check(asked: Given, plan: Plan, now: number) {
  return {
    ...(asked.title === undefined ? {} : { title: asked.title === "" ? null : asked.title }),
    ...(asked.expires === undefined ? {} : { expires: yield* expires(asked.expires, plan, now) }),
    ...(asked.maxDownloads === undefined ? {} : { maxDownloads: yield* maxDownloads(asked.maxDownloads, plan) }),
    ...(asked.countFrom === undefined ? {} : { countFrom: asked.countFrom }),
    ...(asked.autoDelete === undefined ? {} : { autoDelete: yield* autoDelete(asked.autoDelete, plan) })
  }
}

/** The given settings, if the plan allows them. */
export const given = (asked: Given, plan: Plan, now: number): Result.Result<Granted, Refusal.Refusal> =>
  Result.gen(() => check(asked, plan, now))

/** The given settings, and the defaults of the others. */
export const complete = (asked: Given, plan: Plan, now: number): Result.Result<Required<Granted>, Refusal.Refusal> =>
  Result.map(given(asked, plan, now), (granted) => ({
    title: null,
    expires: defaultExpires(plan, now),
    maxDownloads: 1,
    autoDelete: true,
    countFrom: "last-byte",
    ...granted
  }))
