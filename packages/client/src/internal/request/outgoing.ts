/** The body of a request, and how far it was sent. `send.ts` sends it; a page that only downloads does not need it. */
import * as FileIoError from "@effect-fileio/core/FileIoError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as FileBody from "../../FileBody.ts"
import * as Progress from "../../Progress.ts"
import type * as Transport from "../../Transport.ts"
import { followedBy, mapChunks } from "../shared/bytes.ts"
import { Failure } from "../shared/failure.ts"
import { nameOf } from "../shared/toBytes.ts"
import type { Form } from "./multipart.ts"
import type { InFlight } from "./send.ts"

/** Whether a body that was made by hand returned a stream. */
const isBytes = (content: unknown): content is Stream.Stream<Uint8Array, FileIoError.SourceFailed> =>
  Stream.isStream(content)

/** The bytes of the file, checked against the announced size. */
const counted = (
  file: FileBody.FileBody | FileBody.OneShotBody,
  meter: Progress.Meter,
  tally: Tally | undefined,
  touch: (bytes: number) => void,
  offset: number
): (buffers: Transport.Buffers) => Stream.Stream<Uint8Array, FileIoError.SourceFailed> => {
  const size = file.size
  const path = file._tag === "FileBody" && file.path !== undefined ? { path: file.path } : {}
  const wrong = (problem: string) => Effect.fail(new FileIoError.SourceFailed({ ...path, problem }))
  return (buffers) =>
    Stream.suspend(() => {
      let done = offset
      if (tally !== undefined) {
        tally.bytes = offset
        tally.complete = false
      }
      const count = (chunks: ReadonlyArray<Uint8Array>) => {
        let bytes = 0
        for (const chunk of chunks) {
          // Checks a body that was made by hand; the constructors only make bytes.
          if (!(chunk instanceof Uint8Array)) return wrong(`it gave ${nameOf(chunk)} in place of a Uint8Array`)
          bytes += chunk.length
        }
        done += bytes
        touch(done - offset)
        if (tally !== undefined) tally.bytes = done
        if (size !== undefined && done > size) return wrong(`it gave more than the ${size} bytes that were announced`)
        return meter.advance(bytes)
      }
      const complete = Effect.suspend((): Effect.Effect<void, FileIoError.SourceFailed> =>
        done === 0
          ? wrong("it gave no bytes; a file has at least one")
          : size !== undefined && done < size
          ? wrong(`it ended after ${done} of the ${size} bytes that were announced`)
          : Effect.sync(() => {
            if (tally !== undefined) tally.complete = true
          })
      )
      const content: unknown = offset > 0 && file._tag === "FileBody" && file.openAt !== undefined
        ? file.openAt(offset, buffers)
        : file.open(buffers)
      if (!isBytes(content)) {
        return Stream.fromEffect(wrong(`its \`open\` gave ${nameOf(content)} in place of a Stream`))
      }
      return mapChunks(content, (chunks) => {
        const event = count(chunks)
        return event === undefined ? Effect.succeed(chunks) : Effect.as(event, chunks)
      }).pipe(followedBy(Stream.drain(Stream.fromEffect(complete))))
    })
}

/** A body up to this size is read before it is sent, so that every HTTP client sends it in one piece and with its length. */
const IN_MEMORY_BYTES = 256 * 1024

/** How far the last attempt to send a body came. */
export interface Tally {
  /** Bytes of the file that were handed over. */
  bytes: number
  /** Whether all of them were, so that the host may have the file. */
  complete: boolean
}

export const makeTally = (): Tally => ({ bytes: 0, complete: false })

export interface Outgoing {
  readonly form: Form
  readonly file: FileBody.FileBody | FileBody.OneShotBody | undefined
  readonly tally: Tally
  /** Counts the bytes of the file. */
  readonly meter?: Progress.Meter
  /** Position of the first byte of the file to send; the body can be opened there. @default 0 */
  readonly offset?: number
}

/** The body of a request: read first if it is small, else streamed. */
export const prepare =
  ({ file, form, meter = Progress.silent, offset = 0, tally }: Outgoing) =>
  (inFlight: InFlight): Effect.Effect<Transport.Body, Failure> => {
    const { contentType, head, tail } = form
    const inMemory = (bytes: ReadonlyArray<Uint8Array>): Transport.Body => ({
      _tag: "Bytes",
      contentType,
      chunks: [head, ...bytes, tail]
    })
    if (file === undefined) return Effect.succeed(inMemory([]))
    const content = counted(file, meter, tally, (bytes) => inFlight.advanced(bytes), offset)
    if (file.size !== undefined && file.size - offset <= IN_MEMORY_BYTES) {
      const read = Effect.mapError(Stream.runCollect(content("owned")), (reason) => new Failure("withheld", reason))
      return Effect.andThen(meter.started(file.size, offset), Effect.map(read, inMemory))
    }
    inFlight.isSent = false
    const body: Transport.Body = {
      _tag: "Stream",
      contentType,
      length: file.size === undefined ? undefined : head.length + file.size - offset + tail.length,
      open: (buffers) =>
        Stream.sync(() => {
          inFlight.touch()
          return head
        }).pipe(
          followedBy(Stream.tapError(content(buffers), (reason) =>
            Effect.sync(() => {
              inFlight.sourceFailure = reason
            }))),
          followedBy(Stream.sync(() => {
            inFlight.touch()
            inFlight.isSent = true
            return tail
          }))
        )
    }
    return Effect.as(meter.started(file.size, offset), body)
  }
