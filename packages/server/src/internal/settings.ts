import * as Context from "effect/Context"

/** What the handlers need to know of the options. */
export class Settings extends Context.Service<Settings, {
  /** Base of the links, without a trailing slash. */
  readonly publicUrl: string
  /** Name of the plan of those without a key. */
  readonly anonymousPlan: string
  /** Requests of one address without a key in any second; `null`: no limit. */
  readonly anonymousRateLimit: number | null
}>()("@effect-fileio/server/internal/Settings") {}
