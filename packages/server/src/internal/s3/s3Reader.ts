/**
 * Reads objects of S3, each with one request that continues from piece to piece. `S3Blobs` opens a reader for each download.
 *
 * One check a second covers all readers, instead of a timer for each piece. If the store sends nothing, the request is repeated
 * over another connection; if the receiver takes nothing, the download returns its connection until the receiver continues.
 */
import { GetObjectCommand } from "@aws-sdk/client-s3"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { Readable } from "node:stream"
import type { Reader } from "../../Blobs.ts"
import { type Store, toError } from "./s3Store.ts"

/** Attempts to read one piece: a store may close a connection that is idle between two pieces. */
const ATTEMPTS = 3
/** Attempts that may end by silence: one connection may be dead, but after several it is the store. */
const SILENT_ATTEMPTS = 2
/**
 * A download that reads nothing for this many seconds returns its connection, and with it some 200 KiB of buffers. With 5
 * seconds, 4,096 unread downloads took 790 MiB instead of 650.
 */
const PARKED_AFTER = 1

export interface S3Object {
  readonly Bucket: string
  readonly Key: string
}

interface Body {
  readonly source: Readable
  readonly chunks: AsyncIterator<Uint8Array>
  /** Position after its last byte. */
  readonly end: number
}

interface Watched extends Reader {
  /** Another second has passed. */
  readonly tick: () => void
  /** No request starts after this. The connection returns to the pool when all bytes were read. */
  readonly close: () => void
}

const makeReader = ({ client, dropIdle }: Store, object: S3Object, patience: number): Watched => {
  let closed = false
  let request: AbortController | undefined
  let body: Body | undefined
  /** Position of the next byte of `body`, without those in `rest`. */
  let next = 0
  let rest: Uint8Array = new Uint8Array(0)
  let waiting = false
  /** Seconds since a byte arrived, or since the last piece was read. */
  let idle = 0
  /** Attempts at the current piece that ended by silence. */
  let silences = 0
  /** The error of the last of them; the SDK only says that it was aborted. */
  let silence: Error | undefined

  const drop = (reason: Error) => {
    request?.abort(reason)
    body?.source.destroy()
    request = undefined
    body = undefined
    rest = new Uint8Array(0)
  }

  const failIfClosed = () => {
    if (closed) throw new Error("the download has ended")
  }

  const openAt = async (position: number): Promise<Body> => {
    drop(new Error("another position is read"))
    const mine = request = new AbortController()
    const { Body, ContentLength = Infinity } = await client.send(
      new GetObjectCommand({ ...object, Range: `bytes=${position}-` }),
      { abortSignal: mine.signal }
    )
    if (!(Body instanceof Readable)) throw new Error("the store gave no body")
    // The iterator reports errors to the reader; without a listener, one between two reads ends the process.
    Body.on("error", () => {})
    // The response may arrive in the same turn in which the request is aborted.
    if (mine.signal.aborted) {
      Body.destroy()
      throw mine.signal.reason
    }
    next = position
    return body = { source: Body, chunks: Body[Symbol.asyncIterator](), end: position + ContentLength }
  }

  const readOnce = async (buffer: Uint8Array, position: number): Promise<number> => {
    const { chunks, end } = body !== undefined && next === position ? body : await openAt(position)
    let done = 0
    while (done < buffer.length) {
      if (rest.length === 0) {
        const { done: ended, value } = await chunks.next()
        if (ended === true) break
        idle = 0
        rest = value
      }
      const taken = rest.subarray(0, buffer.length - done)
      buffer.set(taken, done)
      rest = rest.subarray(taken.length)
      done += taken.length
    }
    next = position + done
    // The connection is free for another request once the end is read as well.
    if (next === end) chunks.next().catch(() => {})
    return done
  }

  const read = async (buffer: Uint8Array, position: number): Promise<number> => {
    waiting = true
    silences = 0
    silence = undefined
    try {
      for (let attempt = 1;; attempt++) {
        failIfClosed()
        idle = 0
        try {
          return await readOnce(buffer, position)
        } catch (cause) {
          drop(new Error("the attempt has failed"))
          if (attempt === ATTEMPTS || silences === SILENT_ATTEMPTS) throw toError("read a blob", silence ?? cause)
        }
      }
    } finally {
      waiting = false
      idle = 0
    }
  }

  return {
    read,
    tick: () => {
      idle++
      if (waiting && idle > patience) {
        silences++
        silence = new Error(`the store sent nothing for ${patience} seconds`)
        drop(silence)
        // The next attempt takes a new connection.
        dropIdle()
      } else if (!waiting && idle > PARKED_AFTER) drop(new Error("nothing is read"))
    },
    close: () => {
      closed = true
      drop(new Error("the download has ended"))
    }
  }
}

/** Opens readers, each until its scope closes. */
export const make = Effect.fnUntraced(function*(store: Store) {
  const patience = Math.ceil(Duration.toSeconds(store.timeout))
  const readers = new Set<Watched>()
  yield* Effect.sync(() => {
    for (const reader of readers) reader.tick()
  }).pipe(
    Effect.schedule(Schedule.spaced("1 second")),
    Effect.forkScoped
  )
  return (object: S3Object): Effect.Effect<Reader, never, Scope.Scope> =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const reader = makeReader(store, object, patience)
        readers.add(reader)
        return reader
      }),
      (reader) =>
        Effect.sync(() => {
          readers.delete(reader)
          reader.close()
        })
    )
})
