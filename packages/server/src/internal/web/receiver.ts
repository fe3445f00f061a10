/**
 * Recognises a browser that asks for a file twice: it has a cookie from the file's page, and the id of its lease follows from
 * that cookie and the file. So a second click, or a browser that drops its first request and sends another, starts a new
 * transfer of its own lease, and does not get a 423.
 */
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import { createHash } from "node:crypto"

const NAME = "fileio-receiver"
const COOKIE = new RegExp(`(?:^|;\\s*)${NAME}=([A-Za-z0-9_-]{32})(?:;|$)`)
export const TOKEN_BYTES = 24

const tokenOf = (request: HttpServerRequest): string | undefined => COOKIE.exec(request.headers["cookie"] ?? "")?.[1]

export const isKnown = (request: HttpServerRequest): boolean => tokenOf(request) !== undefined

/** Ends with the session of the browser. */
export const cookie = (token: Uint8Array, base: string): string => {
  const { pathname, protocol } = new URL(base)
  const value = Buffer.from(token).toString("base64url")
  return `${NAME}=${value}; Path=${pathname}; HttpOnly; SameSite=Lax${protocol === "https:" ? "; Secure" : ""}`
}

/** The id of this receiver's lease of a file; `undefined`: unknown. */
export const leaseOf = (request: HttpServerRequest, key: string): string | undefined => {
  const token = tokenOf(request)
  return token === undefined
    ? undefined
    : createHash("sha256").update(`${token}:${key}`).digest().subarray(0, TOKEN_BYTES).toString("base64url")
}
