/**
 * The base of the links in a response: the operator's public address, or else the address of the request, as the client or a
 * trusted proxy names it. So a server on all addresses of a machine gives links that work for its caller.
 */
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import { plain } from "../shared/addresses.ts"
import * as Forwarded from "./forwarded.ts"

/** A name or an address, with or without a port. */
const HOST = /^(?:[a-z0-9_.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/i

/** The host that a request names; a trusted proxy's header overrides it. */
const hostOf = (request: HttpServerRequest, proxies: Forwarded.Proxies): string | undefined => {
  const peer = plain(Option.getOrElse(request.remoteAddress, () => ""))
  const forwarded = proxies.trusts(peer) ? request.headers["x-forwarded-host"]?.split(",").at(-1)!.trim() : undefined
  const host = forwarded ?? request.headers["host"]
  return host !== undefined && HOST.test(host) ? host.toLowerCase() : undefined
}

export interface Options {
  /** The operator's address. */
  readonly publicUrl: string | undefined
  /** Where the server listens, for a request without a host. */
  readonly url: string
  readonly proxies: Forwarded.Proxies
}

/** Returns the base of links for a request, without a trailing slash. */
export const make = ({ proxies, publicUrl, url }: Options) => (request: HttpServerRequest): string => {
  if (publicUrl !== undefined) return publicUrl
  const host = hostOf(request, proxies)
  return host === undefined ? url : `${Forwarded.isSecure(request, proxies) ? "https" : "http"}://${host}`
}

/** Returns whether a request names one of these hosts, each with any port or with its own; an empty list allows all. */
export const makeAllowed = (hosts: ReadonlyArray<string>, proxies: Forwarded.Proxies) => {
  const allowed = new Set(hosts.map((host) => host.toLowerCase()))
  return (request: HttpServerRequest): boolean => {
    if (allowed.size === 0) return true
    const host = hostOf(request, proxies)
    return host !== undefined && (allowed.has(host) || allowed.has(host.replace(/:\d+$/, "")))
  }
}
