/**
 * Recognises the browser that has sent a file with the plain form: it has a cookie with the file's deletion token, for the page
 * of that upload alone. So a sender without the script can take the file back, and no address has the token.
 */
import type { HttpServerRequest } from "effect/http/HttpServerRequest"

const NAME = "fileio-sender"
const COOKIE = new RegExp(`(?:^|;\\s*)${NAME}=([A-Za-z0-9_-]{1,100})(?:;|$)`)

export const tokenOf = (request: HttpServerRequest): string | undefined =>
  COOKIE.exec(request.headers["cookie"] ?? "")?.[1]

/** Ends with the session of the browser. */
export const cookie = (token: string, key: string, base: string): string => {
  const { pathname, protocol } = new URL(base)
  const path = `${pathname.replace(/\/$/, "")}/uploaded/${key}`
  return `${NAME}=${token}; Path=${path}; HttpOnly; SameSite=Strict${protocol === "https:" ? "; Secure" : ""}`
}
