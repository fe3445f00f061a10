import type { Account } from "@effect-fileio/core/Account"
import * as Expires from "@effect-fileio/core/Expires"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import type { FileSettings } from "@effect-fileio/core/FileSettings"
import * as DateTime from "effect/DateTime"
import * as Result from "effect/Result"

/** What is known of an account's plan. */
export interface Known {
  readonly account: Account
  /** When it was told, in milliseconds. */
  readonly at: number
  /** Bytes that were uploaded from here since then. */
  added: number
}

/** The longest life of a file that a plan tells, in milliseconds: a number of seconds, or a time period. */
const longestLife = (told: unknown, now: number): number | undefined => {
  if (typeof told === "number") return told * 1000
  if (typeof told !== "string" || told === "") return undefined
  const period = Expires.parse(told)
  if (Result.isFailure(period) || period.success._tag !== "After") return undefined
  const until = Expires.resolve(period.success, DateTime.makeUnsafe(now))
  return until === null ? undefined : DateTime.toEpochMillis(until) - now
}

/**
 * Which limit of the plan an upload or a change would exceed. `maxDownloads` and `maxExpires` are no fields of the
 * contract; some hosts tell them.
 */
export const exceeded = (
  known: Known,
  asked: { readonly size: number | undefined; readonly settings: FileSettings },
  now: number
): FileIoError.PlanLimit | undefined => {
  const { account } = known
  const { settings, size } = asked
  const beyond = (limit: string, asked: number, allowed: number) => new FileIoError.PlanLimit({ limit, asked, allowed })
  if (size !== undefined && account.maxUploadBytes != null && size > account.maxUploadBytes) {
    return beyond("maxUploadBytes", size, account.maxUploadBytes)
  }
  const left = account.storageLeft === undefined ? undefined : Math.max(0, account.storageLeft - known.added)
  if (size !== undefined && left !== undefined && size > left) return beyond("maxStorageBytes", size, left)
  const maxDownloads = account.extra["maxDownloads"]
  if (typeof maxDownloads === "number" && settings.maxDownloads !== undefined) {
    const downloads = settings.maxDownloads === "unlimited" ? Infinity : settings.maxDownloads
    if (downloads > maxDownloads) {
      return Number.isFinite(downloads)
        ? beyond("maxDownloads", downloads, maxDownloads)
        : new FileIoError.PlanLimit({ limit: "maxDownloads", allowed: maxDownloads, detail: "unlimited was asked for" })
    }
  }
  const longest = longestLife(account.extra["maxExpires"], now)
  if (longest !== undefined && settings.expires !== undefined) {
    const until = Expires.resolve(settings.expires, DateTime.makeUnsafe(now))
    const seconds = until === null ? undefined : Math.round((DateTime.toEpochMillis(until) - now) / 1000)
    const allowed = Math.floor(longest / 1000)
    // A minute, since the clocks differ and the file arrives later.
    if (seconds === undefined) {
      return new FileIoError.PlanLimit({ limit: "expires", allowed, detail: "never was asked for; in seconds" })
    }
    if (seconds > allowed + 60) {
      return new FileIoError.PlanLimit({ limit: "expires", asked: seconds, allowed, detail: "in seconds" })
    }
  }
  return undefined
}
