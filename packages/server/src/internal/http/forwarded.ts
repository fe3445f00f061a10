/** Who asks, and how: seen by this server, or told by a proxy that is trusted. */
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

/** An address of a header, which may have a port or brackets; anything else is none. */
const forwarded = (text: string): string | undefined => {
  const bare = /^\[(.+)\](?::\d+)?$/.exec(text)?.[1] ?? /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(text)?.[1] ?? text
  return isIP(bare) === 0 ? undefined : plain(bare)
}

/**
 * The address of whoever asks. `X-Forwarded-For` is read from its end, where the nearest proxy writes: the first address
 * that is no trusted proxy is the client, and what stands before it could be anybody's invention.
 */
export const addressOf = (request: HttpServerRequest, proxies: Proxies): string => {
  let address = plain(Option.getOrElse(request.remoteAddress, () => "unknown"))
  const told = (request.headers["x-forwarded-for"] ?? "").split(",").map((part) => part.trim())
  while (proxies.trusts(address) && told.length > 0) {
    const before = forwarded(told.pop()!)
    if (before === undefined) break
    address = before
  }
  return address
}

/** What is counted as one client: a household has a whole /64 of IPv6. */
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

/** Whether the client came by TLS, to a proxy that says so. */
export const isSecure = (request: HttpServerRequest, proxies: Proxies): boolean => {
  const told = request.headers["x-forwarded-proto"]
  return told !== undefined && told.split(",").at(-1)!.trim().toLowerCase() === "https" &&
    proxies.trusts(plain(Option.getOrElse(request.remoteAddress, () => "")))
}

/** The server speaks HTTP/1 only. */
export const responseOf = (request: HttpServerRequest): ServerResponse =>
  NodeHttpServerRequest.toServerResponse(request) as ServerResponse

/** Headers for the answer, whoever writes it. */
export const setHeaders = (request: HttpServerRequest, headers: Readonly<Record<string, string>>): void => {
  const response = responseOf(request)
  if (response.headersSent) return
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
}
