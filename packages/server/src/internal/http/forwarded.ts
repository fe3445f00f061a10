/** The client's address and protocol, from the connection or from a trusted proxy. */
import * as NodeHttpServerRequest from "@effect/platform-node/NodeHttpServerRequest"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { ServerResponse } from "node:http"
import { isIP } from "node:net"
import { plain } from "../shared/addresses.ts"
import * as Addresses from "../shared/addresses.ts"

export interface Proxies {
  readonly trusts: (address: string) => boolean
}

export const parseProxies = (entries: ReadonlyArray<string>): Result.Result<Proxies, string> =>
  Result.map(Addresses.parse(entries), (trusts) => ({ trusts }))

/** An address in a header, which may have a port or brackets; `undefined` if invalid. */
const forwarded = (text: string): string | undefined => {
  const bare = /^\[(.+)\](?::\d+)?$/.exec(text)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text)?.[1] ?? text
  return isIP(bare) === 0 ? undefined : plain(bare)
}

/**
 * The client's address. `X-Forwarded-For` is read from its end, to which the nearest proxy appends: the first address that is
 * no trusted proxy is the client, and anybody could have written those before it.
 */
export const addressOf = (request: HttpServerRequest, proxies: Proxies): string => {
  let address = plain(Option.getOrElse(request.remoteAddress, () => "unknown"))
  const entries = (request.headers["x-forwarded-for"] ?? "").split(",").map((part) => part.trim())
  while (proxies.trusts(address) && entries.length > 0) {
    const before = forwarded(entries.pop()!)
    if (before === undefined) break
    address = before
  }
  return address
}

/** The unit of the limits per address: a household has a whole IPv6 /64. */
export const networkOf = (address: string): string => {
  if (isIP(address) !== 6) return address
  const [head = "", tail] = address.split("%")[0]!.split("::")
  const before = head === "" ? [] : head.split(":")
  const after = tail === undefined || tail === "" ? [] : tail.split(":")
  const groups = [
    ...before,
    ...Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => "0"),
    ...after
  ]
  return `${groups.slice(0, 4).map((group) => group.toLowerCase().replace(/^0+(?=.)/, "")).join(":")}::/64`
}

/** Whether the client used TLS to a proxy that reports it. */
export const isSecure = (request: HttpServerRequest, proxies: Proxies): boolean => {
  const protocol = request.headers["x-forwarded-proto"]
  return protocol !== undefined && protocol.split(",").at(-1)!.trim().toLowerCase() === "https" &&
    proxies.trusts(plain(Option.getOrElse(request.remoteAddress, () => "")))
}

/** The server only supports HTTP/1. */
export const responseOf = (request: HttpServerRequest): ServerResponse =>
  NodeHttpServerRequest.toServerResponse(request) as ServerResponse

/** Headers of a response, whatever writes it. */
export const setHeaders = (request: HttpServerRequest, headers: Readonly<Record<string, string>>): void => {
  const response = responseOf(request)
  if (response.headersSent) return
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
}
