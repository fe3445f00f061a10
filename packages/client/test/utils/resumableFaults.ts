/** The faults of a resumable upload, and what they do: over the host in memory, and over sockets in `platform-node`. */
import { Fault } from "@effect-fileio/client/testing"

/** What a fault of the request with the bytes does: the upload succeeds nevertheless, or fails with a reason and a verdict. */
export const RESUMABLE_FAULTS: ReadonlyArray<
  readonly [name: string, fault: Fault.Fault, fails?: readonly [string, "no" | "unknown"]]
> = [
  ["refused connection", Fault.Refuse()],
  ["reset before the first byte", Fault.ResetRequest({ atByte: 0 })],
  ["reset in the middle", Fault.ResetRequest({ atByte: 500 })],
  ["reset after the last byte, not handled", Fault.ResetBeforeHeaders({ handled: false })],
  ["reset after the last byte, handled", Fault.loseResponse],
  ["stall in the middle", Fault.StallRequest({ atByte: 500 })],
  ["stall after the last byte, not handled", Fault.StallBeforeHeaders({ handled: false })],
  ["stall after the last byte, handled", Fault.StallBeforeHeaders({ handled: true })],
  ["response that is cut", Fault.Truncate({ atByte: 20 })],
  ["response that breaks", Fault.ResetBody({ atByte: 20 })],
  ["response that stalls", Fault.StallBody({ atByte: 20 })],
  ["500", Fault.status(500)],
  ["502", Fault.status(502)],
  ["503", Fault.status(503)],
  ["429", Fault.tooManyRequests(1)],
  ["401", Fault.status(401), ["Unauthorized", "no"]],
  ["413", Fault.status(413), ["PlanLimit", "no"]],
  ["a page", Fault.Html({ status: 200 }), ["NotAnApi", "unknown"]],
  ["invalid JSON", Fault.invalidJson, ["UnexpectedResponse", "unknown"]],
  ["another size", Fault.WrongSize({ by: 1 }), ["UnexpectedResponse", "unknown"]]
]
