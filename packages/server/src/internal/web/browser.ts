/**
 * Responses to browsers, where programs get JSON: the upload page for `GET /`, the link after an upload with the form, and a
 * page for every error. A request with credentials, or one that does not accept `text/html`, gets JSON.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Plans } from "../../Plans.ts"
import * as Accept from "../http/accept.ts"
import * as Refusal from "../http/refusal.ts"
import { Settings } from "../http/settings.ts"
import * as FilePages from "./filePages.ts"
import * as Sender from "./sender.ts"
import * as SendPages from "./sendPages.ts"
import * as Words from "./words/words.ts"

/**
 * Headers of the pages and their assets. With `no-referrer` a browser would send this page's form with a null origin, as it
 * does a stranger's.
 */
export const guard = { "referrer-policy": "same-origin", "x-content-type-options": "nosniff" }

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  // Saves a file that the page decrypts: the worker's response goes to a frame.
  "worker-src 'self'",
  "frame-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types fileio"
].join("; ")

/** A page with the headers of all pages. */
export const html = (body: string, status: number, headers: Readonly<Record<string, string>> = {}) =>
  HttpServerResponse.text(body, {
    status,
    contentType: "text/html; charset=utf-8",
    headers: {
      "cache-control": "no-store",
      "content-security-policy": POLICY,
      vary: "accept, accept-language",
      ...guard,
      ...headers
    }
  })

const pathOf = (request: HttpServerRequest.HttpServerRequest): string => request.url.split("?")[0]!

/** A browser that navigates to an address; its script and every program ask for something else. */
export const isBrowser = (request: HttpServerRequest.HttpServerRequest): boolean =>
  Accept.wantsPage(request) && request.headers["authorization"] === undefined

/** The response to an upload with the form. The page has its own address, so that a reload does not upload again. */
export const uploaded = (key: string, token: string, base: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.redirect(`uploaded/${key}`, {
    status: 303,
    headers: { "cache-control": "no-store", "set-cookie": Sender.cookie(token, key, base) }
  })

/** The response to a failed request: a page for a browser, JSON for everything else. */
export const make = Effect.gen(function*() {
  const plans = yield* Plans
  const { anonymous, anonymousPlan, baseOf } = yield* Settings
  return (request: HttpServerRequest.HttpServerRequest, refusal: Refusal.Refusal) => {
    const base = baseOf(request)
    if (!isBrowser(request)) return Refusal.toResponse(refusal, base)
    const language = Words.of(request)
    const path = pathOf(request)
    const isPost = request.method === "POST"
    if (refusal.status === 401) {
      return path === "/" && !isPost
        ? html(SendPages.home(language, plans.get(anonymousPlan), base, anonymous), 200)
        : Refusal.toResponse(refusal, base)
    }
    const root = "../".repeat(path.split("/").length - 2) || "./"
    const retryAfter = refusal.headers?.["retry-after"]
    const page = refusal.code === "FILE_NOT_FOUND"
      ? FilePages.gone(language, root)
      : refusal.code === "DOWNLOAD_IN_PROGRESS"
      ? FilePages.inProgress(language, root, retryAfter)
      : FilePages.problem(language, root, isPost && path === "/", Refusal.messageOf(refusal, base))
    return html(page, refusal.status, retryAfter === undefined ? {} : { "retry-after": retryAfter })
  }
})
