/** Compares an upload with the limits of the account's plan before its first byte is sent. */
import type { Account } from "@effect-fileio/core/Account"
import * as Expires from "@effect-fileio/core/Expires"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import type { FileSettings } from "@effect-fileio/core/FileSettings"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { toError } from "../request/retry.ts"
import { Failure } from "../shared/failure.ts"

interface Known {
  readonly account: Account
  /** When it was read, in milliseconds. */
  readonly at: number
  /** Bytes that this service has uploaded since then. */
  added: number
}

/** The longest life of a file in the plan, in milliseconds; the plan has a number of seconds, or a time period. */
const longestLife = (value: unknown, now: number): number | undefined => {
  if (typeof value === "number") return value * 1000
  if (typeof value !== "string" || value === "") return undefined
  const period = Expires.parse(value)
  if (Result.isFailure(period) || period.success._tag !== "After") return undefined
  const until = Expires.resolve(period.success, DateTime.makeUnsafe(now))
  return until === null ? undefined : DateTime.toEpochMillis(until) - now
}

/**
 * The limit of the plan that an upload or a change would exceed. `maxDownloads` and `maxExpires` are not in the contract, but
 * some hosts send them.
 */
const exceeded = (
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
    // Tolerance of a minute, since the clocks differ and the file arrives later.
    if (seconds === undefined) {
      return new FileIoError.PlanLimit({ limit: "expires", allowed, detail: "never was asked for; in seconds" })
    }
    if (seconds > allowed + 60) {
      return new FileIoError.PlanLimit({ limit: "expires", asked: seconds, allowed, detail: "in seconds" })
    }
  }
  return undefined
}

/** How long a plan is kept, in milliseconds. */
const PLAN_MILLIS = 5 * 60 * 1000
/** How long an upload waits for the limits, in milliseconds; a slower host checks them when it gets the file. */
const MAX_WAIT_MILLIS = 10_000

/** A kept plan may allow an upload, but only a fresh one may refuse it. */
export class UploadLimits {
  readonly #me: Effect.Effect<unknown, FileIoError.FileIoError>
  readonly #isEnabled: boolean
  #known: Known | undefined
  #missingUntil = 0

  /** `me` is not repeated, and calls `remember`. */
  constructor(me: Effect.Effect<unknown, FileIoError.FileIoError>, isEnabled: boolean) {
    this.#me = me
    this.#isEnabled = isEnabled
  }

  remember(account: Account): Effect.Effect<void> {
    return Effect.map(Clock.currentTimeMillis, (at) => {
      this.#known = { account, at, added: 0 }
    })
  }

  /** An upload was stored, so less storage is left. */
  stored(bytes: number): void {
    if (this.#known !== undefined) this.#known.added += bytes
  }

  check(
    operation: "upload" | "update" | "replace",
    size: number | undefined,
    settings: FileSettings
  ): Effect.Effect<void, FileIoError.FileIoError> {
    if (!this.#isEnabled) return Effect.void
    const asked = { size, settings }
    return Clock.clockWith((clock) => {
      const now = clock.currentTimeMillisUnsafe()
      if (now < this.#missingUntil) return Effect.void
      const known = this.#known
      if (known !== undefined && now - known.at < PLAN_MILLIS && exceeded(known, asked, now) === undefined) {
        return Effect.void
      }
      return this.#me.pipe(
        Effect.timeoutOption(MAX_WAIT_MILLIS),
        Effect.result,
        Effect.flatMap((result) => {
          const now = clock.currentTimeMillisUnsafe()
          if (Result.isFailure(result)) {
            const { reason } = result.failure
            if (reason._tag === "Unauthorized" && reason.status === 401) {
              return Effect.fail(toError(operation, new Failure("refused", reason)))
            }
          }
          if (Result.isFailure(result) || Option.isNone(result.success) || this.#known === undefined) {
            // The host checks the limits when it gets the file.
            this.#missingUntil = now + PLAN_MILLIS
            return Effect.void
          }
          const limit = exceeded(this.#known, asked, now)
          return limit === undefined ? Effect.void : Effect.fail(toError(operation, new Failure("local", limit)))
        })
      )
    })
  }
}
