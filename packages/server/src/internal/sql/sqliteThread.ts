/**
 * The catalog's thread: the only one that writes the database. `sqliteWriter.ts` starts it, and asks it for changes.
 *
 * Everything that waits when it looks is committed together. It imports no Effect, so that it starts quickly.
 */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads"
import { UnknownOutcome } from "./sqlite.ts"
import { type Job, type Outcome, runTogether } from "./sqliteBatch.ts"
import * as Calls from "./sqliteCalls.ts"
import { open, problemOf } from "./sqliteOpen.ts"
import { UploadEnded } from "./sqliteUploads.ts"

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
  readonly reason?: "unknown" | "ended"
  readonly problem?: string
  readonly cause?: Failure
}

export type Answer = readonly [id: number, value: unknown, failure?: Failure]

/** `undefined` closes the catalog. */
export type Request = Question | undefined
/** The first message says whether the catalog is open. */
export type Response = { readonly opened: true } | { readonly failed: Failure } | ReadonlyArray<Answer>

/** Changes that one transaction commits: enough to share a sync, and few enough for those that come meanwhile. */
const MOST_TOGETHER = 128

const failureOf = (error: unknown): Failure => {
  const { cause, code, errcode, message } = error as Error & { readonly code?: unknown; readonly errcode?: unknown }
  return {
    message: error instanceof Error ? message : String(error),
    errcode,
    code,
    ...(error instanceof UnknownOutcome ? { reason: "unknown" as const } : {}),
    ...(error instanceof UploadEnded ? { reason: "ended" as const } : {}),
    ...(cause === undefined ? {} : { cause: failureOf(cause) })
  }
}

const answerOf = (id: number, outcome: Outcome): Answer =>
  "value" in outcome ? [id, outcome.value] : [id, undefined, failureOf(outcome.cause)]

const serve = (port: NonNullable<typeof parentPort>, { folder, ...settings }: Start): void => {
  const post = (response: Response) => port.postMessage(response)
  let db: ReturnType<typeof open>
  let calls: Calls.Calls
  try {
    db = open(folder)
    calls = Calls.make(db, settings)
  } catch (cause) {
    post({ failed: { ...failureOf(cause), problem: problemOf(cause, folder) } })
    return port.close()
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

  const work = (waiting: Array<Question>): void => {
    while (waiting.length > 0) {
      const together = waiting.splice(0, MOST_TOGETHER)
      const outcomes = runTogether(db, together.map(jobOf))
      post(outcomes.map((outcome, index) => answerOf(together[index]!.id, outcome)))
    }
  }

  port.on("message", (first: Request) => {
    const waiting: Array<Question> = []
    let request = first
    while (request !== undefined) {
      waiting.push(request)
      const next: { readonly message: Request } | undefined = receiveMessageOnPort(port)
      if (next === undefined) return work(waiting)
      request = next.message
    }
    work(waiting)
    db.close()
    port.close()
  })
  post({ opened: true })
}

serve(parentPort!, workerData as Start)
