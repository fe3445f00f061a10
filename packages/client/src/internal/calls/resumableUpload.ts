/**
 * Uploads that continue after a break, as "Resumable Uploads for HTTP" (draft-ietf-httpbis-resumable-upload) specifies.
 * `submit` of `jsonCall.ts` calls it for a large body that can be opened at a position, if the host has said that it supports
 * this.
 *
 * The upload is created by an empty request, whose response has its address. So it works over every transport and through every
 * proxy: interim responses (104) do not. Then the file goes by one request. After a break the host is asked for the offset,
 * which also ends what is left of the broken request, and the next attempt continues from there.
 */
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Effect from "effect/Effect"
import type * as FileBody from "../../FileBody.ts"
import type { Resumption } from "../../FileIoModels.ts"
import type * as Progress from "../../Progress.ts"
import type { WithPermit } from "../limit/limiter.ts"
import type * as Outgoing from "../request/outgoing.ts"
import * as Retry from "../request/retry.ts"
import { Failure, unexpected } from "../shared/failure.ts"
import * as Requests from "./resumableRequests.ts"
import type { Client, JsonCall } from "./shared.ts"

/** Stored bytes after which the retry policy's delays and budget restart. */
const ADVANCE_BYTES = 256 * 1024
/** More bytes than transports and systems buffer: if more were sent, some have left this machine. */
const BUFFERED_BYTES = 8 * 1024 * 1024

/** Whether a body can be resumed, and is large enough that the request that creates the upload pays. */
export const isResumable = (
  body: FileBody.FileBody | FileBody.OneShotBody | undefined,
  from: number
): body is Requests.ResumableBody =>
  body?._tag === "FileBody" && body.openAt !== undefined && body.size !== undefined && body.size >= from

interface State {
  /** Its address; `undefined` before it is created. */
  address: string | undefined
  /** Bytes that the host has stored; `undefined` if it must be asked. */
  offset: number | undefined
  /** Whether the host may have all of it: the last request was sent to its end, and its response was lost. */
  isMaybeStored: boolean
  /** Bytes that were stored when the retry policy last restarted. */
  base: number
  /** Whether enough was sent that some of it must have left this machine, although the host could not be asked. */
  hasLeft: boolean
}

interface Upload {
  readonly body: Requests.ResumableBody
  readonly fields: FileSettings.Fields
  readonly tally: Outgoing.Tally
  readonly meter: Progress.Meter
  readonly resumption: Resumption | undefined
}

/** The steps of one upload, and the state that they share. */
const steps = <A>(client: Client, { call, method, path, read }: JsonCall<A>, upload: Upload) => {
  const { body, fields, meter, resumption, tally } = upload
  const state: State = {
    address: Requests.locate(client, resumption?.address),
    offset: undefined,
    isMaybeStored: false,
    base: 0,
    hasLeft: false
  }

  /** A broken request does not change what is stored; any failure may come after an upload was stored. */
  const resumable = (failure: Failure): Failure =>
    new Failure(
      failure.stage === "broken" || failure.stage === "failed" ? "resumable" : failure.stage,
      failure.reason,
      state.isMaybeStored || failure.isAfterEffect
    )

  const forget = (): void => {
    state.address = undefined
    state.offset = undefined
    state.base = 0
  }

  const create = Effect.fnUntraced(function*(withPermit: WithPermit) {
    const address = yield* Requests.create(client, withPermit, { body, call, fields, method, path, tally })
    state.address = address
    state.offset = 0
    yield* resumption?.save(address) ?? Effect.void
    return address
  })

  /** Asks for the offset; forgets an upload that the host does not have any more. */
  const ask = (address: string, withPermit: WithPermit) =>
    Effect.map(Requests.ask(client, withPermit, call, address, body.size), (stored) => {
      if (stored === undefined) return forget()
      state.isMaybeStored = stored.isComplete
      state.offset = stored.offset
    })

  const append = (address: string, offset: number, withPermit: WithPermit) =>
    Effect.mapError(
      Requests.append(client, withPermit, { address, body, call, meter, offset, read, tally }),
      (problem) => {
        if (problem._tag === "Failure") return problem
        if (problem.isGone) forget()
        else state.offset = undefined
        return new Failure("resumable", problem.reason)
      }
    )

  /** After a break: asks for the offset at once, so that the retry policy knows how far the upload has come. */
  const broken = (offset: number, withPermit: WithPermit) => (failure: Failure) =>
    Effect.gen(function*() {
      if (failure.stage !== "broken" && failure.stage !== "resumable") return yield* Effect.fail(resumable(failure))
      // A host that does not have the upload has stored nothing by this request, only perhaps by one before it.
      if (state.address !== undefined) state.isMaybeStored = tally.complete || offset === body.size
      state.hasLeft = tally.bytes - offset > BUFFERED_BYTES
      const { address } = state
      if (address !== undefined && failure.stage === "broken") {
        state.offset = undefined
        yield* Effect.ignore(ask(address, withPermit))
      }
      return yield* Effect.fail(resumable(failure))
    })

  const attempt = (withPermit: WithPermit): Effect.Effect<A, Failure> =>
    Effect.gen(function*() {
      if (state.address !== undefined && state.offset === undefined) {
        yield* Effect.mapError(ask(state.address, withPermit), resumable)
      }
      // Another upload could store the file twice.
      if (state.address === undefined && state.isMaybeStored) {
        const problem = "it does not have the upload any more, and may have stored the file"
        return yield* Effect.fail(unexpected(404, problem))
      }
      const address = state.address ?? (yield* create(withPermit))
      const offset = state.offset ?? 0
      state.hasLeft = false
      // Cleared: the next attempt must ask, unless a break has reported it.
      state.offset = undefined
      return yield* Effect.catch(append(address, offset, withPermit), broken(offset, withPermit))
    })

  const progress = () => {
    const { base, hasLeft, offset } = state
    const isFurther = offset !== undefined && offset - base >= ADVANCE_BYTES
    if (isFurther) state.base = offset
    return isFurther || hasLeft ? "advanced" : offset !== undefined ? "reachable" : "unknown"
  }

  return { attempt, progress }
}

export const run = <A>(
  client: Client,
  call: JsonCall<A>,
  upload: Upload,
  /** Inspects the failure of an attempt that is not repeated. */
  recover?: (failure: Failure) => Effect.Effect<A, Failure>
) => {
  const { attempt, progress } = steps(client, call, upload)
  return Retry.run(
    {
      operation: call.call.operation,
      content: "reopenable",
      limiter: client.limiter,
      onFailure: () => upload.meter.failed,
      progress
    },
    (withPermit) => {
      const attempted = attempt(withPermit)
      const recovered = recover === undefined
        ? attempted
        : Effect.catch(attempted, (failure) => failure.stage === "resumable" ? Effect.fail(failure) : recover(failure))
      return Effect.tap(recovered, upload.meter.finished)
    }
  )
}
