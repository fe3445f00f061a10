/** Recognises requests that only look at a link: crawlers, link previews, browsers that prefetch. */
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import { createIsbotFromList, list } from "isbot"

/**
 * `isbot` counts programs and libraries as robots, but the API is for those. Its patterns that match one of them are left out;
 * the rest matches crawlers and previews.
 */
const TOOLS = [
  "curl/8.5.0",
  "Wget/1.21.4",
  "python-requests/2.31.0",
  "python-httpx/0.27.0",
  "Python/3.11 aiohttp/3.9.1",
  "Python-urllib/3.12",
  "PycURL/7.45",
  "node",
  "undici",
  "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
  "got (https://github.com/sindresorhus/got)",
  "axios/1.6.2",
  "Deno/1.40",
  "Bun/1.0",
  "effect/4.1.0",
  "okhttp/4.12.0",
  "Java/17.0.1",
  "Java-http-client/21",
  "Apache-HttpClient/4.5.13 (Java/17)",
  "Go-http-client/1.1",
  "HTTPie/3.2.1",
  "PostmanRuntime/7.36.0",
  "insomnia/8",
  "libwww-perl/6.67",
  "Mojolicious (Perl)",
  "GuzzleHttp/7",
  "Ruby",
  "Faraday v2.7",
  "rest-client/2.1.0",
  "RestSharp/110",
  "Dart/3.2 (dart:io)",
  "reqwest/0.11",
  "hyper/0.14",
  "aria2/1.36.0",
  "axel/2.17",
  "rclone/v1.65",
  "PowerShell/7.4",
  "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.1",
  "Symfony HttpClient/Curl",
  "MyApp/1 CFNetwork/1410.0.3 Darwin/22.6.0",
  // A browser under a program's control: it gets the page like any other, and its button works.
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/140.0.0.0 Safari/537.36",
  "MyApp/1.0",
  "MyBackup",
  "backup-downloader/2.1",
  "file_server_sync/1.0.3"
]

const named = createIsbotFromList(
  list.filter((pattern) => {
    const expression = new RegExp(pattern, "i")
    return !TOOLS.some((tool) => expression.test(tool))
  })
)

/** Previews that only the omitted patterns would match. */
const PREVIEWS = /iframely|mastodon|pleroma|akkoma|misskey|lemmy|unfurl|embed|link ?expan/i

/** A user agent that calls itself a browser and gives an address to read about it is none. */
const COMPATIBLE = /^mozilla\/.*https?:\/\//i

/** Programs that share a word with crawlers, such as "Google". */
const PROGRAMS =
  /^(?:microsoft bits\/|node-superagent\/|php\b|getright\/|svn\/|boto3\/|azure-logic-apps\/)|\bgoogle-http-java-client\//i

export const isCrawler = (userAgent: string): boolean => !PROGRAMS.test(userAgent) && isNamed(userAgent)

const isNamed = (userAgent: string): boolean =>
  COMPATIBLE.test(userAgent) || PREVIEWS.test(userAgent) || named(userAgent)

/** A browser that prefetches, or a preview that says so. */
const isAhead = ({ headers }: HttpServerRequest): boolean =>
  [headers["sec-purpose"], headers["purpose"], headers["x-purpose"], headers["x-moz"]].some((purpose) =>
    /prefetch|preview|prerender/i.test(purpose ?? "")
  )

/** Whether a request never claims, whatever it accepts. */
export const onlyLooks = (request: HttpServerRequest): boolean =>
  isAhead(request) || isCrawler(request.headers["user-agent"] ?? "")
