/** Calls with a JSON response: without a body, or with a form that contains a file. */
import * as FileDetails from "@effect-fileio/core/FileDetails"
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import type * as FileSettings from "@effect-fileio/core/FileSettings"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as FileBody from "../../FileBody.ts"
import type { Resumption } from "../../FileIoModels.ts"
import * as Progress from "../../Progress.ts"
import * as TransferMeter from "../observe/transferMeter.ts"
import type { Response as Received } from "../request/contentEncoding.ts"
import * as Multipart from "../request/multipart.ts"
import * as Outgoing from "../request/outgoing.ts"
import type * as Refusal from "../request/refusal.ts"
import { requestHead } from "../request/requestHead.ts"
import * as Response from "../request/response.ts"
import * as Retry from "../request/retry.ts"
import * as Send from "../request/send.ts"
import { type Failure, unexpected } from "../shared/failure.ts"
import * as ResumableSupport from "./resumableSupport.ts"
import * as ResumableUpload from "./resumableUpload.ts"
import type { Client, JsonCall } from "./shared.ts"

const exchange = <A>(
  client: Client,
  { call, headers, method, path, read }: JsonCall<A>,
  options: Parameters<typeof Send.execute>[2]
): Effect.Effect<A, Failure> =>
  Effect.scoped(Effect.flatMap(
    Send.execute(client, requestHead(client, method, path, "application/json", headers), options),
    (response) => {
      ResumableSupport.learn(client, response)
      return read(call, response)
    }
  ))

export const ask = <A>(
  client: Client,
  call: JsonCall<A>,
  /** Inspects the failure of an attempt; `isAfterEffect`: an earlier one may have had its effect. */
  recover?: (failure: Failure, isAfterEffect: boolean) => Effect.Effect<A, Failure>
): Effect.Effect<A, FileIoError.FileIoError> =>
  Retry.run(
    { operation: call.call.operation, content: "none", limiter: client.limiter },
    (withPermit, isAfterEffect) => {
      const received = exchange(client, call, { withPermit, isRepeatable: true })
      return recover === undefined ? received : Effect.catch(received, (failure) => recover(failure, isAfterEffect))
    }
  )

interface Form {
  readonly body: FileBody.FileBody | FileBody.OneShotBody | undefined
  readonly fields: FileSettings.Fields
  readonly onProgress: Progress.Listener | undefined
  /** How far the last attempt to send the file came. */
  readonly tally: Outgoing.Tally
  /** Keeps the address of an upload that can be resumed. */
  readonly resumption?: Resumption | undefined
}

export const submit = <A>(
  client: Client,
  call: JsonCall<A>,
  { body, fields, onProgress, resumption, tally }: Form,
  /** Inspects the failure of an attempt. */
  recover?: (failure: Failure) => Effect.Effect<A, Failure>
): Effect.Effect<A, FileIoError.FileIoError> =>
  Effect.withFiber((fiber) => {
    const meter = body === undefined ? Progress.silent : TransferMeter.make(fiber, "up", onProgress)
    const { operation } = call.call
    const asForm = Retry.run(
      {
        operation,
        content: body === undefined ? "none" : body._tag === "FileBody" ? "reopenable" : "once",
        limiter: client.limiter,
        onFailure: () => meter.failed
      },
      (withPermit) => {
        const form = Multipart.make(fields, body, fiber.getRef(Random.Random))
        const received = exchange(client, call, {
          body: Outgoing.prepare({ form, file: body, tally, meter }),
          withPermit,
          isRepeatable: body === undefined
        })
        return Effect.tap(recover === undefined ? received : Effect.catch(received, recover), meter.finished)
      }
    )
    const submitted = !ResumableUpload.isResumable(body, client.resumableFrom) ? asForm : Effect.flatMap(
      ResumableSupport.isSupported(client, operation),
      (isSupported) =>
        isSupported
          ? ResumableUpload.run(client, call, { body, fields, tally, meter, resumption }, recover)
          : asForm
    )
    return Effect.onInterrupt(submitted, () => meter.failed)
  })

const readDetails = /* @__PURE__ */ Response.json(FileDetails.FileDetails)

/** Reads the details of an uploaded file, and compares its size with the sent one. */
export const readStored =
  (body: FileBody.FileBody | FileBody.OneShotBody | undefined, tally: Outgoing.Tally) =>
  (call: Refusal.Call, response: Received): Effect.Effect<FileDetails.FileDetails, Failure> =>
    Effect.flatMap(readDetails(call, response), (file) => {
      if (body === undefined || file.size === undefined || file.size === tally.bytes) return Effect.succeed(file)
      const problem = `it says that it stored ${file.size} bytes, and ${tally.bytes} were sent`
      return Effect.fail(unexpected(response.status, problem))
    })
