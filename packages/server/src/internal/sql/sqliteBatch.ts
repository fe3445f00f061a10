/**
 * Group commit: runs the changes of several callers in one transaction, so that they share one sync of the disk.
 *
 * Each change has its own outcome. One that is refused has changed nothing. If one fails in another way, as SQLite itself may,
 * nothing of the transaction is kept, and each change runs in a transaction of its own, as if it had come alone; so one that
 * finds no space on a full disk does not keep the others from using the reserve.
 */
import { Refused } from "./rows.ts"
import { type Database, UnknownOutcome } from "./sqlite.ts"

/** A change. It may run more than once, so it must not change anything in memory. */
export interface Job {
  /** `mustSync`: the change must survive a power failure, although `durable` is false. */
  readonly run: (mustSync: () => void) => unknown
  /** Whether it must survive a power failure. */
  readonly durable: boolean
  /** Whether it may use the reserve on a full disk. */
  readonly usesReserve: boolean
}

export type Outcome = { readonly value: unknown } | { readonly cause: unknown }

/** A change of a transaction without a sync needs one. */
class NeedsSync extends Error {}

const outcomeOf = (run: () => unknown): Outcome => {
  try {
    return { value: run() }
  } catch (cause) {
    return { cause }
  }
}

/** A transaction that syncs if one of its changes asks for it. */
const synced = <A>(
  db: Database,
  options: { readonly durable: boolean; readonly usesReserve: boolean },
  run: (mustSync: () => void) => A
): A => {
  const attempt = (durable: boolean): A => {
    let must = false
    return db.transaction(() => {
      const result = run(() => {
        must = true
      })
      if (must && !durable) throw new NeedsSync()
      return result
    }, { ...options, durable })
  }
  try {
    return attempt(options.durable)
  } catch (cause) {
    if (cause instanceof NeedsSync) return attempt(true)
    throw cause
  }
}

const runAlone = (db: Database, job: Job): Outcome => outcomeOf(() => synced(db, job, job.run))

/** Inside a transaction. Throws if one fails. A savepoint for each would take a seventh of the thread's time. */
const runEach = (jobs: ReadonlyArray<Job>, mustSync: () => void): ReadonlyArray<Outcome> =>
  jobs.map(({ run }) => {
    const outcome = outcomeOf(() => run(mustSync))
    if ("cause" in outcome && !(outcome.cause instanceof Refused)) throw outcome.cause
    return outcome
  })

/**
 * Runs jobs that are not durable, in order, in a transaction without a sync. `undefined`: nothing is done, since one of them
 * needs a sync after all, or failed.
 */
export const runUnsynced = (db: Database, jobs: ReadonlyArray<Job>): ReadonlyArray<Outcome> | undefined => {
  try {
    return db.transaction(() => {
      let must = false
      const outcomes = runEach(jobs, () => {
        must = true
      })
      if (must) throw new NeedsSync()
      return outcomes
    }, { durable: false, usesReserve: false })
  } catch (cause) {
    return cause instanceof UnknownOutcome ? jobs.map(() => ({ cause })) : undefined
  }
}

/** Runs all jobs, in order. Each outcome is on the disk as its job asks for when this returns. */
export const runTogether = (db: Database, jobs: ReadonlyArray<Job>): ReadonlyArray<Outcome> => {
  if (jobs.length === 1) return [runAlone(db, jobs[0]!)]
  const options = { durable: jobs.some(({ durable }) => durable), usesReserve: false }
  try {
    return synced(db, options, (mustSync) => runEach(jobs, mustSync))
  } catch (cause) {
    // What became of the transaction is unknown, so it is for each of them.
    if (cause instanceof UnknownOutcome) return jobs.map(() => ({ cause }))
    return jobs.map((job) => runAlone(db, job))
  }
}
