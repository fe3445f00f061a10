import { ErrorEnvelope } from "@effect-fileio/core/ErrorEnvelope"
import { Authentication, Caller, OptionalAuthentication } from "@effect-fileio/core/FileIoApi"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { ApiKeys } from "../ApiKeys.ts"
import { Plans } from "../Plans.ts"
import { RateCounter } from "../RateCounter.ts"
import * as Client from "./client.ts"
import * as Refusal from "./refusal.ts"
import { Settings } from "./settings.ts"

const tryNext = new ErrorEnvelope({ success: false, status: 401 })

const make = (required: boolean) =>
  Effect.gen(function*() {
    const apiKeys = yield* ApiKeys
    const plans = yield* Plans
    const counter = yield* RateCounter
    const { anonymousRateLimit, proxies } = yield* Settings

    type Handler<E, R> = Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | Caller>

    /** Counts the request, says so in the answer's headers, and refuses what is beyond the limit. */
    const counted = <E, R>(
      id: string,
      limit: number | null,
      then: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
    ) =>
      limit === null ?
        then :
        Effect.flatMap(counter.take(id, limit), ({ allowed, remaining, reset }) =>
          Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
            Client.setHeaders(request, {
              "ratelimit-limit": String(limit),
              "ratelimit-remaining": String(remaining),
              "ratelimit-reset": String(Math.ceil(Duration.toSeconds(reset)))
            })
            return allowed ? then : Effect.succeed(Refusal.toResponse(Refusal.tooMany(Duration.toMillis(reset))))
          }))

    /** Whoever guesses at keys is counted as one without a key. */
    const byAddress = <E, R>(then: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
        counted(`address ${Client.networkOf(Client.addressOf(request, proxies))}`, anonymousRateLimit, then))

    const refuse = (text: string) =>
      byAddress(Effect.succeed(Refusal.toResponse(Refusal.unauthorized(text))))

    const withKey = <E, R>(apiKey: string, handler: Handler<E, R>) => {
      const holder = Option.getOrUndefined(apiKeys.find(apiKey))
      return holder === undefined
        ? refuse("The API key is not known")
        : counted(
          `account ${holder.account}`,
          plans.get(holder.plan).rateLimit,
          Effect.provideService(handler, Caller, { account: holder.account })
        )
    }

    const withoutKey = <E, R>(handler: Handler<E, R>) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
        if (request.headers["authorization"] !== undefined) {
          return refuse("Give the API key as a bearer token, or as the user name of HTTP Basic")
        }
        if (required) return refuse("This call needs an API key")
        return byAddress(Effect.provideService(handler, Caller, { account: undefined }))
      })

    return {
      // The schemes are tried in this order; a missing credential is an empty one.
      bearer: <E, R>(handler: Handler<E, R>, { credential }: { readonly credential: Redacted.Redacted }) =>
        Redacted.value(credential) === "" ? Effect.fail(tryNext) : withKey(Redacted.value(credential), handler),
      basic: <E, R>(handler: Handler<E, R>, { credential }: { readonly credential: { readonly username: string } }) =>
        credential.username === "" ? withoutKey(handler) : withKey(credential.username, handler)
    }
  })

export const layer: Layer.Layer<
  Authentication | OptionalAuthentication,
  never,
  ApiKeys | Plans | RateCounter | Settings
> = Layer.merge(
  Layer.effect(Authentication, make(true)),
  Layer.effect(OptionalAuthentication, make(false))
)
