/**
 * A host that implements the contract in memory, with injected faults, without a transport: `FileIoTest` and
 * `NodeFaultHost` of `@effect-fileio/platform-node` send its responses.
 *
 * @since 0.1.0
 */
import type { DurationInput } from "@effect-fileio/core/DurationInput"
import type * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Schema from "effect/Schema"
import { Contract, operationOf } from "../internal/testing/contract.ts"
import * as Responses from "../internal/testing/responses.ts"
import type { Fault, Injection, Operation } from "./Fault.ts"

/**
 * A received request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Request {
  /** `undefined` for an unknown address. */
  readonly operation: Operation | undefined
  readonly method: string
  /** Path and query. */
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  /** When its head arrived, in milliseconds of the clock. */
  readonly at: number
  /** Bytes of its body that arrived. */
  bodyBytes: number
  /** The body, once it has arrived completely. */
  body: Uint8Array | undefined
  /** Whether the client closed the connection before the end of the response. */
  aborted: boolean
}

/**
 * A file of the host.
 *
 * @category models
 * @since 0.1.0
 */
export interface StoredFile {
  readonly key: string
  readonly name: string
  readonly contentType: string
  readonly bytes: Uint8Array
  readonly title: string | null
  readonly expires: number | null
  readonly maxDownloads: number | null
  readonly autoDelete: boolean
  readonly created: number
  readonly modified: number
  readonly downloads: number
  /** Whether a download of it is running, or may be resumed. */
  readonly isBeingTaken: boolean
}

/**
 * A file to put on the host.
 *
 * @category models
 * @since 0.1.0
 */
export interface NewFile {
  readonly bytes: Uint8Array
  /** @default file.bin */
  readonly name?: string | undefined
  /** @default application/octet-stream */
  readonly contentType?: string | undefined
  /** @default 1 */
  readonly maxDownloads?: number | null | undefined
  /** Milliseconds since 1970. @default 14 days from now */
  readonly expires?: number | null | undefined
}

/**
 * A file that was put on the host.
 *
 * @category models
 * @since 0.1.0
 */
export interface Added {
  readonly key: string
  readonly link: string
  /** Deletes it, as the `deleteToken` of an upload does. */
  readonly deleteToken: Redacted.Redacted
}

/**
 * Settings of the host.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The only key of the host. @default `apiKey` of this module */
  readonly apiKey?: Redacted.Redacted | undefined
  /**
   * What `me` reports besides the used storage; the host enforces these limits.
   *
   * @default 1 GiB per file, 10 GiB in all
   */
  readonly account?: Readonly<Record<string, Schema.Json>> | undefined
  /**
   * Whether a broken download can be resumed by its `ETag` (`Range` and `If-Range`), as with the server of this
   * project. Otherwise the first byte uses up the copy, as with the public host. @default true
   */
  readonly resumable?: boolean | undefined
  /** Whether a broken upload can be resumed, as with the server of this project. @default false */
  readonly resumableUploads?: boolean | undefined
  /** Whether the response to an upload has a deletion token, as with the server of this project. @default true */
  readonly deleteTokens?: boolean | undefined
  /** How long the holder of a broken download has to resume it. @default 1 minute */
  readonly grace?: DurationInput | undefined
}

/**
 * The key of the host.
 *
 * @category constants
 * @since 0.1.0
 */
export const apiKey: Redacted.Redacted = Redacted.make("TESTKEY.AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA")

/**
 * The host for a test.
 *
 * @category models
 * @since 0.1.0
 */
export interface Host {
  /** Address for `FileIo.Options.baseUrl`. */
  readonly baseUrl: string
  readonly apiKey: Redacted.Redacted
  /** Injects a fault for the next requests. Faults are used in the order in which they were injected. */
  readonly inject: (fault: Fault, injection?: Injection) => Effect.Effect<void>
  /** Forgets unused faults and received requests. */
  readonly clear: Effect.Effect<void>
  /** The received requests, in order. */
  readonly requests: Effect.Effect<ReadonlyArray<Request>>
  /** The stored files, in the order in which they were added. */
  readonly files: Effect.Effect<ReadonlyArray<StoredFile>>
  /** Adds a file, without a request, and returns its link. */
  readonly put: (file: NewFile) => Effect.Effect<Added>
}

/**
 * A response of the host, for a transport to send.
 *
 * @category models
 * @since 0.1.0
 */
export interface HostResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** The transport calls it at the end, with the number of sent bytes of the body. */
  readonly settle: (bytes: number, now: number) => void
}

/**
 * The host without a transport or a clock: each call gets the time, in milliseconds since 1970.
 *
 * @category models
 * @since 0.1.0
 */
export interface Core {
  readonly requests: Array<Request>
  /** Injects a fault. */
  readonly inject: (fault: Fault, injection?: Injection) => void
  /** Forgets unused faults and received requests. */
  readonly clear: () => void
  /** Records a request, and returns its fault. */
  readonly arrive: (
    head: Pick<Request, "method" | "target" | "headers">,
    now: number
  ) => { readonly request: Request; readonly fault: Fault | undefined }
  /** Handles a request. */
  readonly handle: (request: Request, body: Uint8Array, now: number) => HostResponse
  /** Keeps the part of a body that arrived before its connection broke, if its upload can be resumed. */
  readonly keep: (request: Request, body: Uint8Array) => void
  /** The response of a fault that changes the response. */
  readonly responseOf: (
    fault: Fault,
    request: Request,
    body: Uint8Array,
    now: number,
    /** The response of the host that handled the request, where that is another one. */
    handled?: HostResponse
  ) => HostResponse
  /** The stored files. */
  readonly files: (now: number) => ReadonlyArray<StoredFile>
  /** Adds a file, without a request. */
  readonly put: (file: NewFile, now: number) => Added
}

/** Counts the requests for which faults were injected. */
const makeInjections = () => {
  let injections: Array<{ readonly fault: Fault; readonly on: Operation | undefined; times: number; after: number }> =
    []
  return {
    add: (fault: Fault, { after = 0, on, times = 1 }: Injection = {}): void =>
      void injections.push({ fault, on, times, after }),
    clear: () => {
      injections = []
    },
    /** The fault of the next request of a call. */
    next: (operation: Operation | undefined): Fault | undefined => {
      const injection = injections.find(({ on, times }) => times > 0 && (on === undefined || on === operation))
      if (injection === undefined) return undefined
      if (injection.after > 0) {
        injection.after--
        return undefined
      }
      injection.times--
      return injection.fault
    }
  }
}

/** The response to an upload or a change, with a wrong size. */
const withWrongSize = (response: HostResponse, by: number): HostResponse => {
  const details: unknown = JSON.parse(new TextDecoder().decode(response.body))
  return typeof details === "object" && details !== null && "size" in details && typeof details.size === "number"
    ? Responses.json(200, { ...details, size: details.size + by })
    : response
}

/**
 * Makes a host without a transport.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeCore = (options: Options & { readonly baseUrl: () => string }): Core => {
  const contract = new Contract({ ...options, apiKey: options.apiKey ?? apiKey })
  const injections = makeInjections()
  const requests: Array<Request> = []
  const handle: Core["handle"] = (request, body, now) => contract.handle(request, body, now)

  const responseOf: Core["responseOf"] = (fault, request, body, now, handled) => {
    const handle = () => handled ?? contract.handle(request, body, now)
    switch (fault._tag) {
      case "Html":
        return Responses.html(fault.status)
      case "Redirect": {
        const ownPages: Readonly<Record<string, string>> = { page: `/download${request.target}`, loop: request.target }
        const own = ownPages[fault.to]
        return Responses.redirect(own === undefined ? fault.to : options.baseUrl() + own)
      }
      case "Body":
        handle().settle(0, now)
        return Responses.response(200, "application/json", fault.body)
      case "WrongSize": {
        const response = handle()
        return response.status === 200 && request.operation !== "download"
          ? withWrongSize(response, fault.by)
          : response
      }
      case "Status":
      case "EarlyStatus": {
        const line = fault._tag === "Status" ? fault.statusLine : fault.status
        const headers = fault._tag === "Status" ? fault.headers : fault.close ? { connection: "close" } : {}
        const { code, status } = fault
        return Responses.json(
          line,
          { success: false, status, code, message: "As the test wants it", key: null },
          headers
        )
      }
      // All others are what a transport does to a correct response, or before there is one.
      default:
        return handle()
    }
  }

  return {
    requests,
    inject: injections.add,
    clear: () => {
      injections.clear()
      requests.length = 0
    },
    arrive: (head, now) => {
      const operation = operationOf(head.method, head.target)
      const request: Request = { ...head, operation, at: now, bodyBytes: 0, body: undefined, aborted: false }
      requests.push(request)
      return { request, fault: injections.next(operation) }
    },
    handle,
    keep: (request, body) => contract.keep(request, body),
    responseOf,
    files: (now) => contract.files(now),
    put: (file, now) => contract.put(file, now)
  }
}
