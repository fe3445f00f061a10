/** Authenticates the caller of a request, and applies the caller's rate limit. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { ApiKeys } from "../../ApiKeys.ts"
import { Plans } from "../../Plans.ts"
import { RateCounter } from "../../RateCounter.ts"
import * as Anonymous from "../http/anonymous.ts"
import * as Forwarded from "../http/forwarded.ts"
import * as Refusal from "../http/refusal.ts"
import { Settings } from "../http/settings.ts"
import * as Browser from "../web/browser.ts"

const CREDENTIALS = /^(bearer|basic) +(\S+)$/i

/** The API key of a request: a bearer token, or the user name of HTTP Basic. */
const apiKeyOf = (authorization: string): string | undefined => {
  const [, scheme, credentials] = CREDENTIALS.exec(authorization) ?? []
  if (scheme === undefined || scheme.toLowerCase() === "bearer") return credentials
  const text = Result.getOrUndefined(Base64.decodeString(credentials!)) ?? ""
  // Only the first colon separates the user name from the password.
  const colon = text.indexOf(":")
  return colon < 1 ? undefined : text.slice(0, colon)
}

/** Handles a request for an account, or without one. */
type Handle<E, R> = (account: string | undefined) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>

export const make = Effect.gen(function*() {
  const apiKeys = yield* ApiKeys
  const plans = yield* Plans
  const counter = yield* RateCounter
  const { anonymous, anonymousRateLimit, proxies } = yield* Settings
  const respond = yield* Browser.make
  const keyNeeded = Anonymous.unauthorizedText(anonymous)

  /** Counts the request, sets the rate headers of the response, and refuses a request beyond the limit. */
  const counted = <E, R>(
    request: HttpServerRequest.HttpServerRequest,
    id: string,
    limit: number,
    then: () => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ) =>
    Effect.flatMap(counter.take(id, limit), ({ allowed, remaining, reset }) => {
      Forwarded.setHeaders(request, {
        "ratelimit-limit": String(limit),
        "ratelimit-remaining": String(remaining),
        "ratelimit-reset": String(Math.ceil(Duration.toSeconds(reset)))
      })
      return allowed
        ? then()
        : Effect.succeed(respond(request, Refusal.tooMany(Duration.toMillis(reset))))
    })

  /** Invalid credentials count against the anonymous per-address limit. */
  const byAddress = <E, R>(
    request: HttpServerRequest.HttpServerRequest,
    then: () => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ) =>
    anonymousRateLimit === null
      ? then()
      : counted(
        request,
        `address ${Forwarded.networkOf(Forwarded.addressOf(request, proxies))}`,
        anonymousRateLimit,
        then
      )

  const refuse = (request: HttpServerRequest.HttpServerRequest, text: string) =>
    byAddress(request, () => Effect.succeed(respond(request, Refusal.unauthorized(text, request.method))))

  /** Authenticates the caller, counts the request, and handles it. */
  return <E, R>(
    request: HttpServerRequest.HttpServerRequest,
    isKeyNeeded: boolean,
    handle: Handle<E, R>
  ): Effect.Effect<HttpServerResponse.HttpServerResponse, E, R> => {
    const authorization = request.headers["authorization"]
    if (authorization === undefined) {
      return isKeyNeeded ? refuse(request, keyNeeded) : byAddress(request, () => handle(undefined))
    }
    const apiKey = apiKeyOf(authorization)
    if (apiKey === undefined) {
      return refuse(request, "Give the API key as a bearer token, or as the user name of HTTP Basic")
    }
    const holder = Option.getOrUndefined(apiKeys.find(apiKey))
    if (holder === undefined) return refuse(request, "The API key is not known")
    const limit = plans.get(holder.plan).rateLimit
    return limit === null
      ? handle(holder.account)
      : counted(request, `account ${holder.account}`, limit, () => handle(holder.account))
  }
})
