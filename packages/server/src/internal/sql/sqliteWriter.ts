/**
 * Asks the catalog's thread (`sqliteThread.ts`) for changes. `node:sqlite` is synchronous, and so is the sync of a commit: in a thread
 * of its own it blocks nothing else, and all changes that come during a sync share the next one.
 *
 * If the thread ends by itself, the changes that wait fail, and the next one starts it again.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { Worker } from "node:worker_threads"
import { CatalogError } from "../../Catalog.ts"
import type { Calls } from "./sqliteCalls.ts"
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
 * The thread has the options of the process, since loaders of modules are among them. Node refuses a file with `--input-type`, which a
 * program of `node -e` or of standard input may have.
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

type Resume = (answer: Effect.Effect<unknown, CatalogError>) => void

interface Thread {
  readonly worker: Worker
  readonly waiting: Map<number, Resume>
  /** Resolves once the catalog is open. */
  readonly opened: Promise<CatalogError | undefined>
  readonly ended: Promise<void>
}

const startThread = (start: Start, onEnd: (thread: Thread, cause: unknown) => void): Thread => {
  const worker = new Worker(THREAD, { workerData: start, ...OPTIONS })
  // It keeps a program running only while a change waits.
  worker.unref()
  const opened = Promise.withResolvers<CatalogError | undefined>()
  const ended = Promise.withResolvers<void>()
  const thread: Thread = { worker, waiting: new Map(), opened: opened.promise, ended: ended.promise }
  let isOpen = false
  const end = (error: CatalogError) => {
    onEnd(thread, error.cause)
    opened.resolve(error)
    for (const resume of thread.waiting.values()) resume(Effect.fail(error))
    thread.waiting.clear()
  }
  const answer = ([id, value, failure]: Answer) => {
    const resume = thread.waiting.get(id)
    thread.waiting.delete(id)
    resume?.(failure === undefined ? Effect.succeed(value) : Effect.fail(errorOf(failure)))
  }
  // What the thread has done of the changes that wait is unknown.
  const died = (cause: unknown) => end(new CatalogError({ cause, ...(isOpen ? { reason: "unknown" } : {}) }))
  worker.on("message", (response: Response) => {
    if ("failed" in response) return end(errorOf(response.failed))
    if ("opened" in response) {
      isOpen = true
      return opened.resolve(undefined)
    }
    response.forEach(answer)
    if (thread.waiting.size === 0) worker.unref()
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

  const threadNow = (): Thread =>
    current ??= startThread(start, (thread, cause) => {
      if (current !== thread) return
      current = undefined
      if (!closed) death = cause
    })

  const logDeath = Effect.suspend(() => {
    const cause = death
    death = undefined
    return Effect.logError("the thread that writes the catalog has ended; starting it again", cause)
  })

  const ask = <A>(name: Question["name"], args: ReadonlyArray<unknown>, now: number) =>
    Effect.callback<A, CatalogError>((resume) => {
      if (closed) return resume(Effect.fail(new CatalogError({ cause: new Error("the catalog is closed") })))
      const { waiting, worker } = threadNow()
      const id = ++lastId
      if (waiting.size === 0) worker.ref()
      waiting.set(id, resume as Resume)
      worker.postMessage({ id, name, now, args } satisfies Request)
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
        const { ended, worker } = current
        worker.ref()
        worker.postMessage(undefined satisfies Request)
        await ended
      })
  )

  return { call, thread: () => current?.worker } satisfies Writer
})
