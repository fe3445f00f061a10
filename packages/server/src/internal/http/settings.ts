import * as Context from "effect/Context"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { Anonymous } from "../../ServerOptions.ts"
import type { Proxies } from "./forwarded.ts"

/** The options that handlers use. */
export class Settings extends Context.Service<Settings, {
  /** Base of the links in the response to a request, without a trailing slash. */
  readonly baseOf: (request: HttpServerRequest) => string
  /** Whether a request names a host that this server serves. */
  readonly isHostAllowed: (request: HttpServerRequest) => boolean
  /** What callers without a key may do. */
  readonly anonymous: Anonymous
  /** Name of the plan of callers without a key. */
  readonly anonymousPlan: string
  /** Requests per second of one address without a key; `null`: no limit. */
  readonly anonymousRateLimit: number | null
  /** Milliseconds that a resumable upload lives after its last byte came. */
  readonly uploadLifetime: number
  /** Milliseconds for which a receiver may resume a broken download. */
  readonly grace: number
  /** Who may say on whose behalf it asks. */
  readonly proxies: Proxies
  /** Origins whose pages may call from a browser; `*` is any. */
  readonly allowedOrigins: ReadonlySet<string>
}>()("@effect-fileio/server/internal/Settings") {}
