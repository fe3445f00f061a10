/**
 * Reads a SQLite database in its own thread, so that a long query does not block everything else: `node:sqlite` is synchronous.
 * `SqliteCatalog` lists and searches through this.
 *
 * The thread has its own read-only connection. With a write-ahead log it sees every transaction that was committed before the
 * query, synced or not. It starts with the first query, and again after it died.
 */
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { StatementSync } from "node:sqlite"
import { Worker } from "node:worker_threads"
import { within } from "../shared/deadline.ts"
import type { Row } from "./rows.ts"
import type { Values } from "./sqlite.ts"

/**
 * `unavailable`: the thread cannot respond now. `slow`: the query takes longer than it may. Else SQLite refused the statement, by
 * `errcode` of the cause.
 */
export class ReaderError extends Data.TaggedError("ReaderError")<{
  readonly cause: unknown
  readonly reason?: "unavailable" | "slow" | undefined
}> {}

export interface Statement {
  readonly text: string
  readonly values: Values
}

export interface Reader {
  /** The rows of each statement, all of one snapshot. */
  readonly read: (
    statements: ReadonlyArray<Statement>
  ) => Effect.Effect<ReadonlyArray<ReadonlyArray<Row>>, ReaderError>
  /** The thread, if there is one now. */
  readonly thread: () => Worker | undefined
}

interface Question {
  readonly id: number
  readonly statements: ReadonlyArray<Statement>
}

type Reply =
  | { readonly id: number; readonly rows: ReadonlyArray<ReadonlyArray<Row>> }
  | { readonly id: number; readonly message: string; readonly errcode: unknown }

/** Queries that may wait; further ones are refused. */
const MAX_WAITING = 256
const DEADLINE = Duration.seconds(10)

/**
 * The code of the thread. It is passed to the thread as text, so that it works from the sources, the build and a bundle alike:
 * it must not refer to anything outside itself, and must not name an inner function (bundlers then call their own helper).
 */
const work = (): void => {
  const { parentPort, workerData } = process.getBuiltinModule("node:worker_threads")
  // Without its warning, as in `nodeSqlite.ts`.
  const { emitWarning } = process
  process.emitWarning = () => {}
  const { DatabaseSync } = process.getBuiltinModule("node:sqlite")
  process.emitWarning = emitWarning
  const db = new DatabaseSync(workerData as string, { readOnly: true, timeout: 5000 })
  const prepared = new Map<string, StatementSync>()
  parentPort!.on("message", ({ id, statements }: Question) => {
    try {
      db.exec("BEGIN")
      const rows = []
      for (const { text, values } of statements) {
        let statement = prepared.get(text)
        if (statement === undefined) prepared.set(text, statement = db.prepare(text))
        rows.push(statement.all(values))
      }
      db.exec("COMMIT")
      parentPort!.postMessage({ id, rows })
    } catch (cause) {
      if (db.isTransaction) db.exec("ROLLBACK")
      const { errcode, message } = cause as Error & { readonly errcode?: unknown }
      parentPort!.postMessage({ id, message, errcode })
    }
  })
}

const failed = (cause: unknown) => new ReaderError({ cause, reason: "unavailable" })

interface Thread {
  readonly worker: Worker
  /** In the order in which it runs them, also those whose callers have given up. */
  readonly waiting: Map<number, Deferred.Deferred<ReadonlyArray<ReadonlyArray<Row>>, ReaderError>>
  /** Number of finished queries. */
  replies: number
  stuck: boolean
}

/** A reader of the database at a path, which ends with the scope. */
export const make = Effect.fnUntraced(function*(path: string) {
  let current: Thread | undefined
  let lastId = 0

  const start = (): Thread => {
    const worker = new Worker(`(${work.toString()})()`, {
      eval: true,
      workerData: path,
      env: {},
      execArgv: []
    })
    // It does not keep a program running whose only server has ended.
    worker.unref()
    const thread: Thread = { worker, waiting: new Map(), replies: 0, stuck: false }
    const end = (cause: unknown) => {
      if (current === thread) current = undefined
      for (const reply of thread.waiting.values()) Deferred.doneUnsafe(reply, Effect.fail(failed(cause)))
      thread.waiting.clear()
    }
    worker.on("message", (reply: Reply) => {
      thread.replies++
      const asked = thread.waiting.get(reply.id)
      if (asked === undefined) return
      thread.waiting.delete(reply.id)
      Deferred.doneUnsafe(
        asked,
        "rows" in reply
          ? Effect.succeed(reply.rows)
          : Effect.fail(
            new ReaderError({ cause: Object.assign(new Error(reply.message), { errcode: reply.errcode }) })
          )
      )
    })
    worker.on("error", end)
    worker.on("exit", () => end(new Error("the thread that reads the catalog has ended")))
    return current = thread
  }

  yield* Effect.addFinalizer(() =>
    Effect.promise(async () => {
      await current?.worker.terminate()
    })
  )

  const read: Reader["read"] = (statements) =>
    Effect.suspend(() => {
      const thread = current ?? start()
      if (thread.stuck || thread.waiting.size >= MAX_WAITING) {
        return Effect.fail(failed(new Error("too many lists wait")))
      }
      const id = ++lastId
      const before = thread.replies
      const reply = Deferred.makeUnsafe<ReadonlyArray<ReadonlyArray<Row>>, ReaderError>()
      thread.waiting.set(id, reply)
      thread.worker.postMessage({ id, statements } satisfies Question)
      const late = () => {
        const isRunning = thread.waiting.keys().next().value === id
        // A query cannot be interrupted, only its thread ended; the next thread starts when this one is gone.
        if (thread.replies === before) {
          thread.stuck = true
          void thread.worker.terminate()
        }
        return isRunning
          ? new ReaderError({ cause: new Error("the list takes too long"), reason: "slow" })
          : failed(new Error("the lists before it take too long"))
      }
      return within(Deferred.await(reply), DEADLINE, late)
    })

  return { read, thread: () => current?.worker } satisfies Reader
})
