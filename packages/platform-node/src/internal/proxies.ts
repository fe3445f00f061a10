/** Chooses the proxy of a host, by an option or by the variables that curl uses. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"

/** Addresses of proxies, with their credentials. An empty one means no proxy. */
export interface Proxies {
  readonly http: string
  readonly https: string
  /** Hosts without a proxy, as `NO_PROXY` lists them. */
  readonly none: string
}

export const NONE: Proxies = { http: "", https: "", none: "" }

interface Problem {
  readonly field: string
  readonly problem: string
}

const ALLOWED =
  "allowed: http://host:port or https://host:port, with user:password@ before the host if it requires that"

/** Normalises the address of a proxy. The error does not contain it, since it may hold a password. */
const parse = (address: string, field: string): Result.Result<string, Problem> => {
  const text = address.trim()
  if (text === "") return Result.succeed("")
  const url = URL.parse(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`)
  return url === null || (url.protocol !== "http:" && url.protocol !== "https:")
    ? Result.fail({ field, problem: ALLOWED })
    : Result.succeed(url.href)
}

/** The proxy of the option, for every host. */
export const fromOption = (
  proxy: string | URL | Redacted.Redacted
): Result.Result<Proxies, Problem> =>
  Result.map(
    parse(String(Redacted.isRedacted(proxy) ? Redacted.value(proxy) : proxy), "proxy"),
    (address) => ({ http: address, https: address, none: "" })
  )

/** Lower case takes precedence over upper case, as in curl. */
const variable = (name: string) =>
  Effect.gen(function*() {
    for (const spelling of [name, name.toUpperCase()]) {
      const value = yield* Config.option(Config.String(spelling))
      if (Option.isSome(value)) return { name: spelling, value: value.value }
    }
    return { name, value: "" }
  })

/** The proxies of `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` from the current configuration. */
export const fromConfig: Effect.Effect<Result.Result<Proxies, Problem>, Config.ConfigError> = Effect.gen(function*() {
  const all = yield* variable("all_proxy")
  const proxyOf = Effect.fnUntraced(function*(name: string) {
    const own = yield* variable(name)
    const chosen = own.value === "" ? all : own
    return parse(chosen.value, chosen.name)
  })
  const http = yield* proxyOf("http_proxy")
  const https = yield* proxyOf("https_proxy")
  const none = yield* variable("no_proxy")
  return Result.flatMap(http, (http) => Result.map(https, (https) => ({ http, https, none: none.value })))
})
