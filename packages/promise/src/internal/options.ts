import type * as ClientFileIo from "@effect-fileio/client/FileIo"
import * as RateLimit from "@effect-fileio/client/RateLimit"
import * as RetryPolicy from "@effect-fileio/client/RetryPolicy"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { Options } from "../FileIo.ts"

/** The options as `FileIo` of `@effect-fileio/client` takes them. */
export const toClient = (
  { apiKey, headers, rateLimit: _limit, retry: _retry, ...rest }: Options
): ClientFileIo.Options => ({
  ...rest,
  apiKey: apiKey === undefined ? undefined : Redacted.make(apiKey),
  headers: headers === undefined
    ? undefined
    : Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Redacted.make(value)]))
})

/** The policies that the options name. */
export const layerPolicies = ({ rateLimit, retry }: Options): Layer.Layer<never> =>
  Layer.mergeAll(
    rateLimit === undefined ? Layer.empty : RateLimit.layer(rateLimit),
    retry === undefined ? Layer.empty : Layer.succeed(RetryPolicy.CurrentRetryPolicy, retry)
  )
