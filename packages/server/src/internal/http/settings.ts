import * as Context from "effect/Context"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import type { Anonymous } from "../../ServerOptions.ts"
import type { Proxies } from "./forwarded.ts"

/** What the handlers need to know of the options. */
export class Settings extends Context.Service<Settings, {
  /** Base of the links in the response to a request, without a trailing slash. */
  readonly baseOf: (request: HttpServerRequest) => string
  /** Whether a request names a host that this server answers for. */
  readonly isHostAllowed: (request: HttpServerRequest) => boolean
  /** What those without a key may do. */
  readonly anonymous: Anonymous
  /** Name of the plan of those without a key. */
  readonly anonymousPlan: string
  /** Requests of one address without a key in any second; `null`: no limit. */
  readonly anonymousRateLimit: number | null
  /** Who may say on whose behalf it asks. */
  readonly proxies: Proxies
  /** Origins whose pages may call from a browser; `*` is any. */
  readonly allowedOrigins: ReadonlySet<string>
}>()("@effect-fileio/server/internal/Settings") {}
