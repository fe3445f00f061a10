/**
 * The catalog's thread: the only one that writes the database. `sqliteWriter.ts` starts it, and asks it for changes.
 *
 * Everything that waits when it looks is committed together. It imports no Effect, so that it starts quickly.
 */
import { parentPort, workerData } from "node:worker_threads"
import * as Reserve from "../disk/reserve.ts"
import { ArrivedLate, UploadEnded } from "./rows.ts"
import { UnknownOutcome } from "./sqlite.ts"
import { type Job, type Outcome, runTogether, runUnsynced } from "./sqliteBatch.ts"
import * as Calls from "./sqliteCalls.ts"
import { open, problemOf } from "./sqliteOpen.ts"
import type { Rewrite } from "./sqliteSpace.ts"

export interface Start extends Calls.Settings {
  readonly folder: string
}

export interface Question {
  readonly id: number
  readonly name: keyof Calls.Calls
  readonly now: number
  readonly args: ReadonlyArray<unknown>
}

/** An error as a message can carry it: `postMessage` drops what SQLite and the system add to one. */
export interface Failure {
  readonly message: string
  readonly errcode?: unknown
  readonly code?: unknown
  readonly reason?: "unknown" | "ended" | "unavailable"
  readonly problem?: string
  readonly cause?: Failure
}

export type Answer = readonly [id: number, value: unknown, failure?: Failure]

/** The changes of one turn of the main thread's event loop. `null` closes the catalog. */
export type Request = ReadonlyArray<Question> | null
/** `opened` or `failed` comes before all answers. */
export type Response =
  | { readonly rewrite: Rewrite }
  | { readonly opened: true }
  | { readonly failed: Failure }
  | ReadonlyArray<Answer>

/** Changes that one transaction commits: enough to share a sync, and few enough for those that come meanwhile. */
const MOST_TOGETHER = 128

const failureOf = (error: unknown): Failure => {
  const { cause, code, errcode, message } = error as Error & { readonly code?: unknown; readonly errcode?: unknown }
  return {
    message: error instanceof Error ? message : String(error),
    errcode,
    code,
    ...(error instanceof UnknownOutcome ? { reason: "unknown" as const } : {}),
    ...(error instanceof ArrivedLate ? { reason: "unavailable" as const } : {}),
    ...(error instanceof UploadEnded ? { reason: "ended" as const } : {}),
    ...(cause === undefined ? {} : { cause: failureOf(cause) })
  }
}

const answerOf = (id: number, outcome: Outcome): Answer =>
  "value" in outcome ? [id, outcome.value] : [id, undefined, failureOf(outcome.cause)]

const isTrue = (outcome: Outcome): boolean => "value" in outcome && outcome.value === true

/** Ends the thread, after what it has posted. Deno's port has no `close`, nor can it be drained by `receiveMessageOnPort`. */
const end = (): void => process.exit()

const serve = (port: NonNullable<typeof parentPort>, { folder, ...settings }: Start): void => {
  const post = (response: Response) => port.postMessage(response)
  let db: ReturnType<typeof open>
  let calls: Calls.Calls
  try {
    db = open(folder, (rewrite) => post({ rewrite }))
    calls = Calls.make(db, settings, () => Reserve.freeBytes(folder))
  } catch (cause) {
    post({ failed: { ...failureOf(cause), problem: problemOf(cause, folder) } })
    return end()
  }

  const jobOf = ({ args, name, now }: Question): Job => {
    const { durable, run, usesReserve } = calls[name]
    return {
      run: (mustSync) =>
        (run as (context: Calls.Context, ...args: ReadonlyArray<unknown>) => unknown)({ now, mustSync }, ...args),
      durable,
      usesReserve
    }
  }

  const checkpoint = (): void => {
    try {
      db.checkpoint()
    } catch {
      // SQLite tries it again with the next changes.
    }
  }

  const answer = (questions: ReadonlyArray<Question>, outcomes: ReadonlyArray<Outcome>): void =>
    post(outcomes.map((outcome, index) => answerOf(questions[index]!.id, outcome)))

  /** Answers those that need not wait for the sync of the others; returns the others. */
  const answerFirst = (together: ReadonlyArray<Question>): ReadonlyArray<Question> => {
    const first = together.filter(({ name }) => calls[name].goesFirst)
    if (first.length === 0 || !together.some(({ name }) => calls[name].durable)) return together
    const outcomes = runUnsynced(db, first.map(jobOf))
    if (outcomes === undefined) return together
    answer(first, outcomes)
    return together.filter(({ name }) => !calls[name].goesFirst)
  }

  const work = (waiting: Array<Question>): void => {
    while (waiting.length > 0) {
      const together = answerFirst(waiting.splice(0, MOST_TOGETHER))
      const outcomes = runTogether(db, together.map(jobOf))
      if (together.some(({ name }, index) => calls[name].checkpoints && isTrue(outcomes[index]!))) checkpoint()
      answer(together, outcomes)
    }
  }

  // All messages that are there come in one turn of the loop, and this runs right after it.
  let waiting: Array<Question> = []
  const workOff = (): void => {
    const questions = waiting
    waiting = []
    work(questions)
  }
  port.on("message", (request: Request) => {
    if (request !== null) {
      if (waiting.length === 0) setImmediate(workOff)
      waiting.push(...request)
      return
    }
    workOff()
    db.close()
    end()
  })
  post({ opened: true })
}

serve(parentPort!, workerData as Start)
