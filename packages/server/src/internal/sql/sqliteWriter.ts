/**
 * Asks the catalog's thread (`sqliteThread.ts`) for changes. `node:sqlite` is synchronous, and so is the sync of a commit: in a
 * thread of its own it blocks nothing else, and all changes that come during a sync share the next one.
 *
 * If the thread ends by itself, the changes that wait fail, and the next one starts it again.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Worker } from "node:worker_threads"
import { CatalogError } from "../../Catalog.ts"
import type { Calls } from "./sqliteCalls.ts"
import * as SqliteSpace from "./sqliteSpace.ts"
import type { Answer, Failure, Question, Request, Response, Start } from "./sqliteThread.ts"

type Arguments<K extends keyof Calls> = Parameters<Calls[K]["run"]> extends [unknown, ...infer A] ? A : never

export interface Writer {
  /** Runs a change. Once this succeeds, the change is on the disk, unless a power failure may undo it. */
  readonly call: <K extends keyof Calls>(
    name: K,
    ...args: Arguments<K>
  ) => Effect.Effect<ReturnType<Calls[K]["run"]>, CatalogError>
  /** The thread, if there is one now. */
  readonly thread: () => Worker | undefined
}

/** The same file as a source and as a compiled one. */
const THREAD = new URL(import.meta.url.endsWith(".ts") ? "./sqliteThread.ts" : "./sqliteThread.js", import.meta.url)

/**
 * The thread has the options of the process, since loaders of modules are among them. Node refuses a file with `--input-type`,
 * which a program of `node -e` or of standard input may have.
 */
const OPTIONS = process.execArgv.some((option) => option.startsWith("--input-type")) ? { execArgv: [] } : {}

const causeOf = ({ cause, code, errcode, message }: Failure): Error =>
  Object.assign(
    new Error(message, cause === undefined ? {} : { cause: causeOf(cause) }),
    errcode === undefined ? {} : { errcode },
    code === undefined ? {} : { code }
  )

const errorOf = (failure: Failure): CatalogError =>
  new CatalogError({
    cause: causeOf(failure),
    ...(failure.reason === undefined ? {} : { reason: failure.reason }),
    ...(failure.problem === undefined ? {} : { problem: failure.problem })
  })

/** Requests that go on in one turn of the event loop: few enough that all of them take some milliseconds. */
const ANSWERS_IN_A_TURN = 32

type Resume = (answer: Effect.Effect<unknown, CatalogError>) => void

interface Thread {
  readonly worker: Worker
  readonly waiting: Map<number, Resume>
  /** Asks for a change, together with the others of this turn of the event loop: so they share a transaction. */
  readonly ask: (question: Question, resume: Resume) => void
  /** Closes the catalog after all that was asked for. */
  readonly close: () => void
  /** Resolves once the catalog is open. */
  readonly opened: Promise<CatalogError | undefined>
  readonly ended: Promise<void>
}

interface Events {
  readonly onRewrite: (rewrite: SqliteSpace.Rewrite) => void
  readonly onEnd: (thread: Thread, cause: unknown) => void
}

const startThread = (start: Start, { onEnd, onRewrite }: Events): Thread => {
  const worker = new Worker(THREAD, { workerData: start, ...OPTIONS })
  const opened = Promise.withResolvers<CatalogError | undefined>()
  const ended = Promise.withResolvers<void>()
  let asked: Array<Question> = []
  const post = () => {
    if (asked.length > 0) worker.postMessage(asked satisfies Request)
    asked = []
  }
  const thread: Thread = {
    worker,
    waiting: new Map(),
    ask: (question, resume) => {
      if (thread.waiting.size === 0) worker.ref()
      thread.waiting.set(question.id, resume)
      if (asked.push(question) === 1) setImmediate(post)
    },
    close: () => {
      worker.ref()
      post()
      worker.postMessage(null satisfies Request)
    },
    opened: opened.promise,
    ended: ended.promise
  }
  let isOpen = false
  const end = (error: CatalogError) => {
    onEnd(thread, error.cause)
    opened.resolve(error)
    answers.splice(0).forEach(answer)
    for (const resume of thread.waiting.values()) resume(Effect.fail(error))
    thread.waiting.clear()
  }
  const answer = ([id, value, failure]: Answer) => {
    const resume = thread.waiting.get(id)
    thread.waiting.delete(id)
    resume?.(failure === undefined ? Effect.succeed(value) : Effect.fail(errorOf(failure)))
  }
  /** Those of a transaction come together; each is followed by the rest of its request. */
  const answers: Array<Answer> = []
  const answerSome = () => {
    answers.splice(0, ANSWERS_IN_A_TURN).forEach(answer)
    if (answers.length > 0) setImmediate(answerSome)
    // It keeps a program running only while it opens the catalog, or a change waits.
    else if (thread.waiting.size === 0) worker.unref()
  }
  // What the thread has done of the changes that wait is unknown.
  const died = (cause: unknown) => end(new CatalogError({ cause, ...(isOpen ? { reason: "unknown" } : {}) }))
  worker.on("message", (response: Response) => {
    if ("rewrite" in response) return onRewrite(response.rewrite)
    if ("failed" in response) return end(errorOf(response.failed))
    if ("opened" in response) {
      isOpen = true
      opened.resolve(undefined)
    }
    const isRunning = answers.length > 0
    if (!("opened" in response)) answers.push(...response)
    if (!isRunning) answerSome()
  })
  worker.on("error", died)
  worker.on("exit", () => {
    died(new Error("the thread that writes the catalog has ended"))
    ended.resolve()
  })
  return thread
}

/** The thread of the catalog in a folder, which ends with the scope, after all changes that wait. */
export const make = Effect.fnUntraced(function*(start: Start) {
  let current: Thread | undefined
  let closed = false
  let death: unknown
  let lastId = 0

  const runFork = Effect.runForkWith(yield* Effect.context<never>())
  const onRewrite = (rewrite: SqliteSpace.Rewrite) => {
    const { text, warns } = SqliteSpace.describe(rewrite)
    runFork(warns ? Effect.logWarning(text) : Effect.logInfo(text))
  }
  const onEnd = (thread: Thread, cause: unknown) => {
    if (current !== thread) return
    current = undefined
    if (!closed) death = cause
  }
  const threadNow = (): Thread => current ??= startThread(start, { onEnd, onRewrite })

  const logDeath = Effect.suspend(() => {
    const cause = death
    death = undefined
    return Effect.logError("the thread that writes the catalog has ended; starting it again", cause)
  })

  const ask = <A>(name: Question["name"], args: ReadonlyArray<unknown>, now: number) =>
    Effect.callback<A, CatalogError>((resume) => {
      if (closed) return resume(Effect.fail(new CatalogError({ cause: new Error("the catalog is closed") })))
      threadNow().ask({ id: ++lastId, name, now, args }, resume as Resume)
    })

  const call: Writer["call"] = (name, ...args) =>
    Effect.flatMap(
      Clock.currentTimeMillis,
      (now) => {
        const asked = ask<ReturnType<Calls[typeof name]["run"]>>(name, args, now)
        return death === undefined ? asked : Effect.andThen(logDeath, asked)
      }
    )

  yield* Effect.acquireRelease(
    Effect.flatMap(
      Effect.promise(() => threadNow().opened),
      (error) => error === undefined ? Effect.void : Effect.fail(error)
    ),
    () =>
      Effect.promise(async () => {
        closed = true
        if (current === undefined) return
        current.close()
        await current.ended
      })
  )

  return { call, thread: () => current?.worker } satisfies Writer
})
