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
import * as Refusal from "./refusal.ts"
import { Settings } from "./settings.ts"

const tryNext = new ErrorEnvelope({ success: false, status: 401 })
const refuse = (refusal: Refusal.Refusal) => Effect.succeed(Refusal.toResponse(refusal))

const make = (required: boolean) =>
  Effect.gen(function*() {
    const apiKeys = yield* ApiKeys
    const plans = yield* Plans
    const counter = yield* RateCounter
    const { anonymousRateLimit } = yield* Settings

    type Handler<E, R> = Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | Caller>

    const counted = <E, R>(id: string, limit: number | null, account: string | undefined, handler: Handler<E, R>) =>
      Effect.gen(function*() {
        const wait = limit === null ? Option.none() : yield* counter.take(id, limit)
        if (Option.isSome(wait)) return Refusal.toResponse(Refusal.tooMany(Duration.toMillis(wait.value)))
        return yield* Effect.provideService(handler, Caller, { account })
      })

    const withKey = <E, R>(apiKey: string, handler: Handler<E, R>) => {
      const holder = Option.getOrUndefined(apiKeys.find(apiKey))
      return holder === undefined
        ? refuse(Refusal.unauthorized("The API key is not known"))
        : counted(`account ${holder.account}`, plans.get(holder.plan).rateLimit, holder.account, handler)
    }

    const withoutKey = <E, R>(handler: Handler<E, R>) =>
      Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => {
        if (request.headers["authorization"] !== undefined) {
          return refuse(Refusal.unauthorized("Give the API key as a bearer token, or as the user name of HTTP Basic"))
        }
        if (required) return refuse(Refusal.unauthorized("This call needs an API key"))
        const address = Option.getOrElse(request.remoteAddress, () => "unknown")
        return counted(`address ${address}`, anonymousRateLimit, undefined, handler)
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
