import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import type * as Progress from "../../Progress.ts"

const INTERVAL_MILLIS = 100

interface Track {
  bytes: number
  total: number | undefined
  state: "waiting" | "running" | "done" | "failed"
}

/** Adds up the progress of several transfers, and reports it at most ten times a second. */
const makeMeter = Effect.fnUntraced(function*(
  listener: Progress.BatchListener | undefined,
  totals: ReadonlyArray<number | undefined>
) {
  const clock = yield* Clock.Clock
  const began = clock.currentTimeMillisUnsafe()
  const tracks = totals.map((total): Track => ({ bytes: 0, total, state: "waiting" }))
  let bytes = 0
  let emitted = -Infinity
  const emit = (_tag: Progress.Progress["_tag"]) =>
    Effect.suspend(() => {
      if (listener === undefined) return Effect.void
      emitted = clock.currentTimeMillisUnsafe()
      const elapsedMillis = emitted - began
      let total: number | undefined = 0
      let done = 0
      let failed = 0
      for (const track of tracks) {
        // The missing bytes of a failed file will not come any more.
        const its = track.state === "failed" ? track.bytes : track.total
        total = total === undefined || its === undefined ? undefined : total + its
        if (track.state === "done") done++
        if (track.state === "failed") failed++
      }
      return listener({
        _tag,
        bytes,
        total,
        elapsedMillis,
        bytesPerSecond: elapsedMillis === 0 ? 0 : Math.round(bytes * 1000 / elapsedMillis),
        files: { total: tracks.length, done, failed }
      })
    })
  const tick = Effect.suspend(() =>
    clock.currentTimeMillisUnsafe() - emitted >= INTERVAL_MILLIS ? emit("Advanced") : Effect.void
  )
  return {
    emit,
    of: (index: number) => {
      const track = tracks[index]!
      const advance = (progress: Progress.Progress) =>
        Effect.suspend(() => {
          bytes += progress.bytes - track.bytes
          track.bytes = progress.bytes
          track.total = progress.total ?? track.total
          track.state = "running"
          return tick
        })
      const end = (state: "done" | "failed") =>
        Effect.suspend(() => {
          track.state = state
          return tick
        })
      return { advance, end }
    }
  }
})

/** Runs the transfers, a few at once; the results are in the order of the items, and a failure does not affect the others. */
export const run = Effect.fnUntraced(function*<I, A, R>(
  items: ReadonlyArray<I>,
  options: {
    readonly concurrency: number
    readonly onProgress: Progress.BatchListener | undefined
    readonly totals: ReadonlyArray<number | undefined>
  },
  transfer: (item: I, onProgress: Progress.Listener | undefined) => Effect.Effect<A, FileIoError.FileIoError, R>
): Effect.fn.Return<ReadonlyArray<Result.Result<A, FileIoError.FileIoError>>, never, R> {
  const meter = yield* makeMeter(options.onProgress, options.totals)
  yield* meter.emit("Started")
  const indexed = items.map((item, index) => ({ item, track: meter.of(index) }))
  return yield* Effect.forEach(
    indexed,
    ({ item, track }) =>
      Effect.result(transfer(item, options.onProgress === undefined ? undefined : track.advance)).pipe(
        Effect.tap((result) => track.end(result._tag === "Success" ? "done" : "failed"))
      ),
    { concurrency: options.concurrency }
  ).pipe(
    Effect.tap(() => meter.emit("Finished")),
    Effect.onInterrupt(() => meter.emit("Failed"))
  )
})
