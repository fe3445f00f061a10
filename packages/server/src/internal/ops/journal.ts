/**
 * The access log and the audit log: files of one JSON line per event, for an operator. They contain neither keys nor names of
 * files, and addresses only hashed with a key of this data folder, unless the operator asks for addresses.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { createInterface } from "node:readline"
import { DataFolder } from "../../DataFolder.ts"
import { type AuditEvent, LogError } from "../../Logs.ts"
import { routeOf } from "../shared/methods.ts"
import { knownMethod } from "./metrics.ts"

/**
 * Identifies a file in the audit log: can be computed from a link, even when the file is gone, but does not reveal the link.
 */
export const fileId = (key: string): string => Crypto.hash("sha256", `fileio audit ${key}`, "hex").slice(0, 32)

export class Journal extends Context.Service<Journal, {
  /** What happened to the file of a key, and by which request. */
  readonly audit: (
    key: string,
    event: Omit<AuditEvent, "file" | "key">,
    request?: HttpServerRequest
  ) => Effect.Effect<void>
  /** A handled request. */
  readonly access: (request: HttpServerRequest, status: number, millis: number) => Effect.Effect<void>
}>()("@effect-fileio/server/internal/Journal") {}

type Write = (line: object) => Effect.Effect<void>

/** The most lines that wait for a slow disk; further ones are lost, since a log must not take the server's memory. */
const MAX_WAITING = 10_000

/**
 * Appends lines to a file that is opened for each batch, so that it can be rotated, and a full disk is no dead end. Only its
 * owner may read it. Lost lines are logged once, until one can be written again.
 */
const appendTo = (path: string): Effect.Effect<Write, LogError, Scope.Scope> =>
  Effect.gen(function*() {
    const append = (text: string) => Fs.promises.appendFile(path, text, { mode: 0o600 })
    yield* Effect.tryPromise({ try: () => append(""), catch: (cause) => new LogError({ path, cause }) })
    let waiting: Array<string> = []
    let failure: { readonly cause: unknown; isLogged: boolean } | undefined
    let writing: Promise<void> | undefined
    const drain = async () => {
      while (waiting.length > 0) {
        const text = waiting.join("")
        waiting = []
        try {
          await append(text)
          failure = undefined
        } catch (cause) {
          failure ??= { cause, isLogged: false }
        }
      }
      writing = undefined
    }
    yield* Effect.addFinalizer(() => Effect.promise(() => writing ?? Promise.resolve()))
    return (line) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        const time = DateTime.formatIso(DateTime.makeUnsafe(now))
        if (waiting.length < MAX_WAITING) waiting.push(`${JSON.stringify({ time, ...line })}\n`)
        writing ??= drain()
        if (failure === undefined || failure.isLogged) return Effect.void
        failure.isLogged = true
        return Effect.logError(`lines of the log ${path} are lost`, failure.cause)
      })
  })

const KEY_BYTES = 32

/** Key of the hashes; without it, anybody who has a log could try all addresses. */
const hashKey = Effect.fnUntraced(function*(folder: string) {
  const path = Path.join(folder, "log-key")
  return yield* Effect.try({
    try: () => {
      try {
        Fs.writeFileSync(path, Crypto.randomBytes(KEY_BYTES), { flag: "wx", mode: 0o600 })
      } catch (cause) {
        if (!(cause instanceof Error && "code" in cause && cause.code === "EEXIST")) throw cause
      }
      return Fs.readFileSync(path)
    },
    catch: (cause) => new LogError({ path, cause })
  })
})

export interface Options {
  readonly accessLog: string | undefined
  readonly auditLog: string | undefined
  readonly logAddresses: boolean
  /** The address of a request's caller. */
  readonly addressOf: (request: HttpServerRequest) => string
}

const nothing = () => Effect.void

export const layer = (
  { accessLog, addressOf, auditLog, logAddresses }: Options
): Layer.Layer<Journal, LogError, DataFolder> =>
  Layer.effect(
    Journal,
    Effect.gen(function*() {
      if (accessLog === undefined && auditLog === undefined) {
        return Journal.of({ audit: nothing, access: nothing })
      }
      const key = yield* hashKey((yield* DataFolder).path)
      const writeAccess = accessLog === undefined ? undefined : yield* appendTo(accessLog)
      const writeAudit = auditLog === undefined ? undefined : yield* appendTo(auditLog)
      const from = (request: HttpServerRequest) => {
        const address = addressOf(request)
        return logAddresses
          ? { address }
          : { address: Crypto.createHmac("sha256", key).update(address).digest("hex").slice(0, 32) }
      }
      return Journal.of({
        audit: writeAudit === undefined
          ? nothing
          : (key, event, request) =>
            writeAudit({ ...event, file: fileId(key), ...(request === undefined ? {} : from(request)) }),
        access: writeAccess === undefined
          ? nothing
          : (request, status, millis) =>
            writeAccess({
              method: knownMethod(request.method),
              route: routeOf(request),
              status,
              millis,
              ...from(request)
            })
      })
    })
  )

/** Appends one event, from a process that is no server. */
export const append = (path: string, event: AuditEvent): Effect.Effect<void, LogError> =>
  Effect.scoped(Effect.flatMap(appendTo(path), (write) => write(event)))

/** A line of the audit log. */
export interface Entry extends AuditEvent {
  readonly time: string
  readonly address?: string
}

/** The most events of one file that are shown: its last ones. */
const MAX_EVENTS = 1000

/** The last events of a file in an audit log, the oldest first; none if there is no log. Passes over torn lines. */
export const eventsOf = async (path: string, file: string): Promise<ReadonlyArray<Entry>> => {
  if (!Fs.existsSync(path)) return []
  const events: Array<Entry> = []
  for await (const line of createInterface({ input: Fs.createReadStream(path), crlfDelay: Infinity })) {
    if (!line.includes(file)) continue
    try {
      const entry = JSON.parse(line) as Entry
      if (entry.file === file) events.push(entry)
    } catch {
      continue
    }
    if (events.length > MAX_EVENTS) events.shift()
  }
  return events
}
