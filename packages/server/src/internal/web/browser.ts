/**
 * What a browser gets where a program gets JSON: the page that uploads for `GET /`, the link for an upload by the form, and a page for
 * every refusal. A request with credentials, or one that does not accept `text/html`, gets JSON.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Plans } from "../../Plans.ts"
import * as Anonymous from "../http/anonymous.ts"
import * as Refusal from "../http/refusal.ts"
import { Settings } from "../http/settings.ts"
import * as Page from "./page.ts"

/**
 * Headers of everything that the pages load, and of the pages. With `no-referrer` a browser would send a form of this page as one
 * of no origin, as it does a stranger's.
 */
export const guard = { "referrer-policy": "same-origin", "x-content-type-options": "nosniff" }

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "require-trusted-types-for 'script'"
].join("; ")

/** A page with the headers that all pages have. */
export const html = (body: string, status: number, headers: Readonly<Record<string, string>> = {}) =>
  HttpServerResponse.text(body, {
    status,
    contentType: "text/html; charset=utf-8",
    headers: { "cache-control": "no-store", "content-security-policy": POLICY, vary: "accept", ...guard, ...headers }
  })

const pathOf = (request: HttpServerRequest.HttpServerRequest): string => request.url.split("?")[0]!

/** Such as a browser that goes to an address; its script and every program ask for something else. */
export const isBrowser = (request: HttpServerRequest.HttpServerRequest): boolean =>
  (request.headers["accept"] ?? "").includes("text/html") && request.headers["authorization"] === undefined

/** The answer to an upload by the form. The page has an address of its own, so that a reload does not upload again. */
export const uploaded = (key: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.redirect(`uploaded/${key}`, { status: 303, headers: { "cache-control": "no-store" } })

/** Answers a refusal: with a page for a browser, with JSON for everything else. */
export const make = Effect.gen(function*() {
  const plans = yield* Plans
  const { anonymous, anonymousPlan, baseOf } = yield* Settings
  const rule = Anonymous.rules[anonymous]
  const home = (base: string) =>
    rule === undefined ? Page.home(plans.get(anonymousPlan), base) : Page.keyNeeded(rule, base)

  return (request: HttpServerRequest.HttpServerRequest, refusal: Refusal.Refusal) => {
    const base = baseOf(request)
    if (!isBrowser(request)) return Refusal.toResponse(refusal, base)
    const path = pathOf(request)
    const isPost = request.method === "POST"
    if (refusal.status === 401) {
      return path === "/" && !isPost ? html(home(base), 200) : Refusal.toResponse(refusal, base)
    }
    const root = "../".repeat(path.split("/").length - 2) || "./"
    const retryAfter = refusal.headers?.["retry-after"]
    const page = refusal.code === "FILE_NOT_FOUND"
      ? Page.gone(root)
      : refusal.code === "DOWNLOAD_IN_PROGRESS"
      ? Page.inProgress(root, retryAfter)
      : Page.problem(root, isPost && path === "/", Refusal.messageOf(refusal, base))
    return html(page, refusal.status, retryAfter === undefined ? {} : { "retry-after": retryAfter })
  }
})
