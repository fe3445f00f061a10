import { Effect } from "effect"
import { allChecks } from "./allChecks.ts"

/** Runs all checks on one server, a few at a time; returns the failed and the skipped ones. */
export const runAll = (url: string, key: string) =>
  Effect.map(
    Effect.forEach(allChecks, ({ about, run, says }) =>
      Effect.promise(() =>
        run({ url, key }).then(
          (skipped) => ({ name: `${about}: ${says}`, skipped, failure: undefined }),
          (failure: unknown) => ({ name: `${about}: ${says}`, skipped: undefined, failure: String(failure) })
        )
      ), { concurrency: 4 }),
    (results) => ({
      failed: results.filter(({ failure }) => failure !== undefined),
      skipped: results.filter(({ skipped }) => skipped !== undefined).map(({ name }) => name)
    })
  )
