import { DurationInput } from "@effect-fileio/core"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Exit, Layer, Redacted, Scope } from "effect"
import { TestClock } from "effect/testing"
import { execFile, spawn } from "node:child_process"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Net from "node:net"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import * as FileIoServer from "../src/FileIoServer.ts"
import { isCrawler } from "../src/internal/web/crawlers.ts"
import * as ServerOptions from "../src/ServerOptions.ts"
import {
  ANNA,
  anna,
  assertRefused,
  bearer,
  blobs,
  call,
  eventually,
  fred,
  LARGE,
  openDownload,
  pattern,
  start,
  temporaryFolder,
  upload,
  uploaded
} from "./support.ts"

const BIN = fileURLToPath(new URL("../src/bin.ts", import.meta.url))

/** With the admin's address, which `start` does not give. */
const startWithAdmin = (options: ServerOptions.TemporaryOptions = {}) =>
  Effect.gen(function*() {
    const folder = yield* temporaryFolder
    const context = yield* Layer.build(
      FileIoServer.layer({ dataDirectory: folder, admin: {}, anonymousPlan: "premium", ...options })
    )
    const { adminUrl, url } = yield* FileIoServer.FileIoServer.pipe(Effect.provide(context))
    return { folder, url, adminUrl: adminUrl! }
  })

/** Sends raw bytes and returns what comes back, until the other side closes. */
const talk = (url: string, ...texts: ReadonlyArray<string>) =>
  Effect.promise(() =>
    new Promise<string>((resolve) => {
      let answer = ""
      const socket = Net.connect(Number(new URL(url).port), "127.0.0.1", () => {
        for (const text of texts) socket.write(text)
      })
      socket.on("data", (chunk) => answer += String(chunk))
      socket.on("error", () => {})
      socket.on("close", () => resolve(answer))
    })
  )

describe("an operator", () => {
  it.effect("sees the health on a port of its own", () =>
    Effect.gen(function*() {
      const { adminUrl, url } = yield* startWithAdmin()
      yield* uploaded(url, "12345")
      const health = yield* call(`${adminUrl}/healthz`)
      assert.strictEqual(health.status, 200)
      assert.strictEqual(health.json["status"], "ok")
      assert.deepStrictEqual(health.json["catalog"] as object, { ok: true, files: 1, bytes: 5 })
      assert.deepStrictEqual(health.json["blobs"] as object, { ok: true })
      const disk = health.json["disk"] as { ok: boolean; free: number; floor: number }
      assert.isTrue(disk.ok)
      assert.isAbove(disk.free, disk.floor)
      assertRefused(yield* call(`${adminUrl}/else`), 404, "NOT_FOUND")
      assertRefused(yield* call(`${adminUrl}/healthz`, { method: "POST" }), 405, "METHOD_NOT_ALLOWED")
      assertRefused(yield* call(`${url}/metrics`, { headers: { accept: "*/*" } }), 404, "FILE_NOT_FOUND")
    }))

  it.effect("sees metrics in Prometheus' form, and no key of a file in them", () =>
    Effect.gen(function*() {
      const { adminUrl, url } = yield* startWithAdmin()
      const { key } = yield* uploaded(url, "12345")
      yield* call(`${url}/${key}`)
      yield* call(`${url}/${key}`)
      const { headers, text } = yield* call(`${adminUrl}/metrics`)
      assert.match(headers.get("content-type")!, /^text\/plain; version=0\.0\.4/)
      assert.notInclude(text, key)
      for (
        const line of [
          /^# TYPE fileio_requests_total counter$/m,
          /^fileio_requests_total\{method="GET",status="404"\} [1-9]/m,
          /^# TYPE fileio_request_seconds histogram$/m,
          /^fileio_request_seconds_bucket\{method="GET",le="0\.25"\} \d+$/m,
          /^fileio_request_seconds_count\{method="GET"\} [1-9]/m,
          /^fileio_downloads_total\{outcome="whole"\} [1-9]/m,
          /^fileio_upload_bytes_total\{plan="premium"\} \d+$/m,
          /^fileio_uploads_total\{plan="premium"\} [1-9]/m,
          /^fileio_uploads_unfinished 0$/m,
          /^fileio_last_sweep_timestamp_seconds [\d.e+]+$/m,
          /^fileio_files 0$/m,
          /^fileio_stored_bytes 0$/m,
          /^fileio_healthy 1$/m,
          /^fileio_connections \d+$/m,
          /^fileio_disk_free_bytes \d+$/m,
          /^process_resident_memory_bytes \d+$/m
        ]
      ) assert.match(text, line)
      for (const line of text.trim().split("\n")) {
        assert.match(line, /^(# (HELP|TYPE) \w+ .+|\w+(\{.*\})? -?[\d.e+]+|\w+.* NaN)$/, line)
      }
    }))

  it.effect("learns when the disk is nearly full: uploads are refused, downloads continue", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const scope = yield* Scope.make()
      const first = yield* Scope.provide(start({ folder }), scope)
      const { key } = yield* uploaded(first.url, "kept")
      yield* Scope.close(scope, Exit.void)
      const context = yield* Layer.build(FileIoServer.layer({
        dataDirectory: folder,
        admin: {},
        anonymousPlan: "premium",
        minFreeBytes: Number.MAX_SAFE_INTEGER
      }))
      const { adminUrl, url } = yield* FileIoServer.FileIoServer.pipe(Effect.provide(context))
      assertRefused(yield* upload(url, "no room"), 507, "INSUFFICIENT_STORAGE")
      const health = yield* call(`${adminUrl}/healthz`)
      assert.strictEqual(health.status, 503)
      assert.strictEqual(health.json["status"], "failing")
      assert.isFalse((health.json["disk"] as { ok: boolean }).ok)
      assert.strictEqual((yield* call(`${url}/${key}`)).text, "kept")
    }))
})

describe("a proxy", () => {
  const limited = { anonymousRateLimit: 1, plans: { premium: { rateLimit: null } } }
  const forwarded = (address: string) => ({ "x-forwarded-for": address })

  it.effect("that is trusted sets the client's address, and nobody else does", () =>
    Effect.gen(function*() {
      const trusting = yield* start({ ...limited, trustedProxies: ["127.0.0.0/8", "10.1.0.0/16"] })
      const from = (address: string) => upload(trusting.url, "x", { headers: forwarded(address) })
      assert.strictEqual((yield* from("192.0.2.1")).status, 200)
      assert.strictEqual((yield* from("192.0.2.2")).status, 200)
      assertRefused(yield* from("192.0.2.1"), 429, "TOO_MANY_REQUESTS")
      // Addresses before the trusted proxy's entry do not count, nor do further trusted proxies.
      assertRefused(yield* from("198.51.100.7, 192.0.2.2"), 429, "TOO_MANY_REQUESTS")
      assertRefused(yield* from("192.0.2.1, 10.1.2.3"), 429, "TOO_MANY_REQUESTS")
      // A household has a /64.
      assert.strictEqual((yield* from("2001:db8::1")).status, 200)
      assertRefused(yield* from("[2001:db8:0:0:ffff::2]:443"), 429, "TOO_MANY_REQUESTS")
      assert.strictEqual((yield* from("2001:db8:0:1::1")).status, 200)
      // An invalid entry is ignored: the proxy itself is counted.
      assert.strictEqual((yield* from("garbage")).status, 200)
      assertRefused(yield* from("unknown"), 429, "TOO_MANY_REQUESTS")

      const alone = yield* start(limited)
      assert.strictEqual((yield* upload(alone.url, "x", { headers: forwarded("192.0.2.1") })).status, 200)
      assertRefused(yield* upload(alone.url, "x", { headers: forwarded("192.0.2.2") }), 429, "TOO_MANY_REQUESTS")
    }))

  it.effect("that is no address is refused at the start", () =>
    Effect.gen(function*() {
      for (const entry of ["proxy.example", "10.0.0.0/33", "10.0.0.0/x", ""]) {
        const error = yield* Effect.flip(start({ trustedProxies: [entry] }))
        assert.strictEqual(error._tag, "InvalidOption")
        assert.include(error.message, "trustedProxies")
      }
    }))

  it.effect("with TLS before the server makes it send HSTS", () =>
    Effect.gen(function*() {
      const hsts = (url: string, headers: Record<string, string> = {}) =>
        Effect.map(
          call(`${url}/abcdefghijkl`, { headers }),
          (answer) => answer.headers.get("strict-transport-security")
        )
      const https = { "x-forwarded-proto": "https" }
      const plain = yield* start()
      assert.isNull(yield* hsts(plain.url))
      assert.isNull(yield* hsts(plain.url, https))
      const trusting = yield* start({ trustedProxies: ["127.0.0.1"] })
      assert.isNull(yield* hsts(trusting.url))
      assert.strictEqual(yield* hsts(trusting.url, https), "max-age=31536000")
      const named = yield* start({ publicUrl: "https://files.example" })
      assert.strictEqual(yield* hsts(named.url), "max-age=31536000")
      // A file's own headers have it too.
      const { key } = yield* uploaded(named.url, "x")
      assert.isNotNull((yield* call(`${named.url}/${key}`)).headers.get("strict-transport-security"))
    }))
})

describe("the rate", () => {
  it.effect("is in every response that it counted", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ plans: { free: { rateLimit: 2 }, premium: { rateLimit: null } } })
      const me = Effect.map(call(`${url}/me`, { headers: fred }), ({ headers, status }) => [
        status,
        headers.get("ratelimit-limit"),
        headers.get("ratelimit-remaining"),
        headers.get("ratelimit-reset"),
        headers.get("retry-after")
      ])
      assert.deepStrictEqual(yield* me, [200, "2", "1", "1", null])
      assert.deepStrictEqual(yield* me, [200, "2", "0", "1", null])
      assert.deepStrictEqual(yield* me, [429, "2", "0", "1", "1"])
      assert.isNull((yield* call(`${url}/me`, { headers: anna })).headers.get("ratelimit-limit"))
      const anonymous = yield* upload((yield* start({ anonymousRateLimit: 5 })).url, "x")
      assert.strictEqual(anonymous.headers.get("ratelimit-remaining"), "4")
    }))

  it.effect("of invalid credentials is that of the address", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ anonymousRateLimit: 2 })
      const guess = call(`${url}/me`, { headers: bearer("GUESS00.0000000-0000000-0000000-0000000") })
      assertRefused(yield* guess, 401, "UNAUTHORIZED")
      assertRefused(yield* guess, 401, "UNAUTHORIZED")
      assertRefused(yield* guess, 429, "TOO_MANY_REQUESTS")
      assert.strictEqual((yield* call(`${url}/me`, { headers: anna })).status, 200)
    }))
})

describe("a crawler or a preview", () => {
  const CRAWLERS = [
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Twitterbot/1.0",
    "WhatsApp/2.23.20.0",
    "TelegramBot (like TwitterBot)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5 skype-url-preview@microsoft.com",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.1.1 Safari/605.1.15 (Applebot/0.1; +http://www.apple.com/go/applebot)",
    "Iframely/1.3.1 (+https://iframely.com/docs/about)",
    "Mozilla/5.0 (compatible; Embedly/0.2; +http://support.embed.ly/)",
    "http.rb/5.1.1 (Mastodon/4.2.1; +https://mastodon.social/)",
    "Synapse (bot; +https://github.com/matrix-org/synapse)",
    "redditbot/1.0",
    "Pinterest/0.2 (+https://www.pinterest.com/bot.html)",
    "Mozilla/5.0 (compatible; vkShare; +http://vk.com/dev/Share)",
    "GPTBot/1.2",
    "Mozilla/5.0 (compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
    "Google-PageRenderer Google (+https://developers.google.com/+/web/snippet/)",
    "Mattermost-Bot/1.1",
    "ia_archiver"
  ]
  const PROGRAMS = [
    "",
    "curl/8.9.1",
    "Wget/1.24.5",
    "python-requests/2.32.3",
    "node",
    "undici",
    "Java/21.0.2",
    "Go-http-client/2.0",
    "okhttp/5.0.0",
    "axios/1.7.7",
    "PostmanRuntime/7.43.0",
    "our-backup/3.2.1",
    "Microsoft BITS/7.8",
    "Google-HTTP-Java-Client/1.42.3 (gzip)",
    "Our Backup Google-HTTP-Java-Client/1.42.3 (gzip)",
    "node-superagent/3.8.3",
    "PHP/8.3.6",
    "GetRight/6.5",
    "Boto3/1.34.0 md/Botocore#1.34.0 ua/2.0",
    "azure-logic-apps/1.0 (workflow 1; version 2)",
    "effect-fileio/0.1.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0"
  ]

  it("is known by name, and no program or browser is taken for one", () => {
    assert.deepStrictEqual(CRAWLERS.filter((name) => !isCrawler(name)), [])
    assert.deepStrictEqual(PROGRAMS.filter(isCrawler), [])
  })

  it.effect("gets the page and does not claim, whatever it accepts", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      // Anna's plan has direct download.
      for (const headers of [undefined, anna]) {
        const { key } = yield* uploaded(url, "precious", headers === undefined ? {} : { headers })
        for (
          const looks of [
            { "user-agent": CRAWLERS[1]! },
            { "user-agent": CRAWLERS[3]!, accept: "*/*" },
            { "user-agent": CRAWLERS[8]!, accept: "text/html" },
            { "sec-purpose": "prefetch;prerender" },
            { purpose: "prefetch" },
            { "x-purpose": "preview" },
            { "x-moz": "prefetch" }
          ]
        ) {
          for (const at of [`${url}/${key}`, `${url}/${key}?download=1`]) {
            const answer = yield* call(at, { headers: looks })
            assert.strictEqual(answer.status, 302, JSON.stringify(looks))
            assert.strictEqual(answer.headers.get("location"), `${url}/download/${key}`)
          }
        }
        assert.strictEqual((yield* call(`${url}/${key}`, { headers: { "user-agent": "curl/8.9.1" } })).text, "precious")
      }
    }))
})

describe("callers without a key", () => {
  const browser = { accept: "text/html,application/xhtml+xml" }
  const basic = { authorization: `Basic ${Buffer.from(`${ANNA}:`).toString("base64")}` }

  it.effect("may only download, if the operator says so", () =>
    Effect.gen(function*() {
      const server = yield* start({ anonymous: "downloads" })
      const rule = "Only holders of an API key can upload here; anybody with a link can download"
      const refused = yield* upload(server.url, "x")
      assertRefused(refused, 401, "UNAUTHORIZED")
      assert.include(String(refused.json["message"]), rule)
      assert.deepStrictEqual(blobs(server), [])
      assert.include(String((yield* call(`${server.url}/me`)).json["message"]), rule)
      const home = yield* call(server.url, { headers: browser })
      assert.include(home.text, rule)
      // Without a script there is no form, since it could send no key.
      assert.match(home.text, /<form[^>]* data-key-needed hidden>/)
      const { key } = yield* uploaded(server.url, "given", { headers: anna })
      assert.strictEqual((yield* call(`${server.url}/download/${key}`, { headers: browser })).status, 200)
      assert.strictEqual((yield* call(`${server.url}/${key}`)).text, "given")
    }))

  it.effect("may do nothing, if the operator says so; a browser asks for the key", () =>
    Effect.gen(function*() {
      const server = yield* start({ anonymous: "none" })
      const rule = "Only holders of an API key can upload and download here"
      assert.include(String((yield* upload(server.url, "x")).json["message"]), rule)
      assert.include((yield* call(server.url, { headers: browser })).text, rule)
      const { key } = yield* uploaded(server.url, "given", { headers: anna })
      for (const path of [key, `download/${key}`, `uploaded/${key}`]) {
        for (const headers of [browser, {}]) {
          const refused = yield* call(`${server.url}/${path}`, { headers })
          assertRefused(refused, 401, "UNAUTHORIZED")
          assert.include(refused.headers.get("www-authenticate")!, "Basic")
        }
      }
      const page = yield* call(`${server.url}/download/${key}`, { headers: { ...browser, ...basic } })
      assert.include(page.headers.get("content-type")!, "text/html")
      assert.strictEqual((yield* call(`${server.url}/${key}`, { headers: { ...browser, ...basic } })).text, "given")
    }))
})

describe("a page of another origin", () => {
  const ORIGIN = "https://app.example"
  const preflight = (url: string, origin: string) =>
    call(url, {
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type"
      }
    })

  it.effect("may call only where its origin is allowed", () =>
    Effect.gen(function*() {
      const closed = yield* start()
      assert.isNull((yield* preflight(closed.url, ORIGIN)).headers.get("access-control-allow-origin"))
      assert.isNull((yield* upload(closed.url, "x", { headers: { origin: ORIGIN } })).headers
        .get("access-control-allow-origin"))

      const open = yield* start({ allowedOrigins: [ORIGIN] })
      const allowed = yield* preflight(open.url, ORIGIN)
      assert.strictEqual(allowed.status, 204)
      assert.strictEqual(allowed.headers.get("access-control-allow-origin"), ORIGIN)
      assert.include(allowed.headers.get("access-control-allow-headers")!, "authorization")
      assert.include(allowed.headers.get("access-control-allow-methods")!, "PATCH")
      assert.isNull((yield* preflight(open.url, "https://evil.example")).headers.get("access-control-allow-origin"))
      const sent = yield* upload(open.url, "x", { headers: { origin: ORIGIN } })
      assert.strictEqual(sent.headers.get("access-control-allow-origin"), ORIGIN)
      assert.isNull(sent.headers.get("access-control-allow-credentials"))
      const got = yield* call(`${open.url}/${sent.json.key}`, { headers: { origin: ORIGIN } })
      assert.strictEqual(got.text, "x")
      assert.strictEqual(got.headers.get("access-control-allow-origin"), ORIGIN)
      assert.include(got.headers.get("access-control-expose-headers")!, "content-disposition")
      // A refusal is readable too.
      const gone = yield* call(`${open.url}/${sent.json.key}`, { headers: { origin: ORIGIN } })
      assertRefused(gone, 404, "FILE_NOT_FOUND")
      assert.strictEqual(gone.headers.get("access-control-allow-origin"), ORIGIN)
      const any = yield* start({ allowedOrigins: ["*"] })
      assert.strictEqual((yield* preflight(any.url, ORIGIN)).headers.get("access-control-allow-origin"), ORIGIN)
    }))

  it.effect("cannot make its visitor's browser fill the server", () =>
    Effect.gen(function*() {
      const server = yield* start({ publicUrl: "https://files.example" })
      const { host, origin: own } = new URL(server.url)
      const browser = (fields: Record<string, string>) => upload(server.url, "x", { headers: fields })
      const strangers: ReadonlyArray<Record<string, string>> = [
        { origin: ORIGIN },
        { origin: ORIGIN, "sec-fetch-site": "cross-site" },
        { origin: "null" },
        { origin: "null", "sec-fetch-site": "cross-site" },
        { "sec-fetch-site": "cross-site" },
        { origin: `http://${host}.evil.example`, "sec-fetch-site": "cross-site" },
        { origin: `http://${host.split(":")[0]!}:1`, "sec-fetch-site": "same-site" }
      ]
      for (const fields of strangers) {
        const refused = yield* browser(fields)
        assertRefused(refused, 403, "ORIGIN_NOT_ALLOWED")
        assert.include(String(refused.json["message"]), "--allowed-origins")
      }
      assert.deepStrictEqual(blobs(server), [])
      const visitors: ReadonlyArray<Record<string, string>> = [
        { origin: own },
        { origin: own.replace("http:", "https:") },
        { origin: "https://files.example" },
        { origin: "null", "sec-fetch-site": "same-origin" },
        { "sec-fetch-site": "none" },
        {}
      ]
      for (const fields of visitors) assert.strictEqual((yield* browser(fields)).status, 200, JSON.stringify(fields))
      // A page cannot send a key without a preflight.
      assert.strictEqual((yield* browser({ origin: ORIGIN, ...anna })).status, 200)
      // A link in a stranger's page opens like any other.
      const { key } = yield* uploaded(server.url, "kept")
      const opened = yield* call(`${server.url}/${key}`, { headers: { "sec-fetch-site": "cross-site" } })
      assert.strictEqual(opened.text, "kept")
    }))
})

describe("the description of the API", () => {
  it.effect("is served, whole and with this server's address", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ publicUrl: "https://files.example/" })
      const { headers, json, status } = yield* call(`${url}/openapi.json`)
      assert.strictEqual(status, 200)
      assert.strictEqual(headers.get("content-type"), "application/json; charset=utf-8")
      assert.strictEqual(json["openapi"], "3.1.0")
      assert.deepStrictEqual(json["servers"] as object, [{ url: "https://files.example" }])
      // Every reference has its target, and success its two fields.
      const text = JSON.stringify(json)
      const { schemas } = json["components"] as { schemas: Record<string, { required?: Array<string> }> }
      const references = [...text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map(([, name]) => name!)
      assert.isAbove(references.length, 0)
      for (const name of references) assert.property(schemas, name)
      assert.deepStrictEqual(schemas["Success"]!.required, ["success", "status"])
      assert.notInclude(text, "\"additionalProperties\":false")
    }))

  it.effect("is a page with every call, and curl commands", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const { headers, status, text } = yield* call(`${url}/developers`, { headers: { accept: "text/html" } })
      assert.strictEqual(status, 200)
      assert.strictEqual(headers.get("content-type"), "text/html; charset=utf-8")
      assert.include(headers.get("content-security-policy")!, "default-src 'none'")
      for (const line of ["POST /", "GET /me", "GET /{key}", "PUT /{key}", "PATCH /{key}", "DELETE /{key}"]) {
        assert.include(text, `<h2><code>${line}</code></h2>`)
      }
      assert.include(text, `curl -F file=@photo.jpg`)
      // The name of the server, and the upload first.
      assert.include(text, "<h1 tabindex=\"-1\">One-time files: API</h1>")
      assert.strictEqual(/<h2>(.*?)<\/h2>/.exec(text)![1], "<code>POST /</code>")
      assert.notInclude(text, "undefined")
      assert.notInclude(text, "[object")
    }))

  it.live("whose commands work as they are", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const folder = yield* temporaryFolder
      Fs.writeFileSync(Path.join(folder, "photo.jpg"), "a photo")
      const { text } = yield* call(`${url}/developers`)
      const entities: Record<string, string> = { 34: "\"", 38: "&", 39: "'", 60: "<", 62: ">" }
      const sections = text.matchAll(/<section class="card" id="(\w+)">([\s\S]*?)<\/section>/g)
      let ran = 0
      for (const [, id, section] of sections) {
        for (const [, escaped] of section!.matchAll(/<pre><code[^>]*>([^<]*)<\/code><\/pre>/g)) {
          const command = escaped!.replace(/&#(\d+);/g, (_, code: string) => entities[code]!)
          // Each has a file of its own, since some delete it.
          const { json: { deleteToken, key } } = yield* upload(url, "content", { headers: anna })
          const { stdout } = yield* Effect.promise(() =>
            promisify(execFile)("bash", ["-c", `set -eu; ${command}`], {
              cwd: folder,
              env: { PATH: process.env["PATH"], API_KEY: ANNA, KEY: key, TOKEN: String(deleteToken) }
            })
          )
          if (id === "download") {
            assert.strictEqual(Fs.readFileSync(Path.join(folder, "photo.jpg"), "utf8"), "content")
          } else assert.include(JSON.parse(stdout), { success: true, status: 200 }, command)
          ran++
        }
      }
      assert.isAtLeast(ran, 11)
    }))
})

describe("a connection", () => {
  it.live("beyond the limit gets a 503, and one that ends makes room", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ maxConnections: 3 })
      const { port } = new URL(url)
      const held = yield* Effect.promise(() =>
        Promise.all(Array.from({ length: 3 }, () =>
          new Promise<Net.Socket>((resolve) => {
            const socket = Net.connect(Number(port), "127.0.0.1", () => resolve(socket))
          })))
      )
      // A response shows that the server has accepted all three.
      yield* eventually("the limit is met", async () => {
        const answer = await Effect.runPromise(talk(url, "GET /me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
        return answer.startsWith("HTTP/1.1 503 ") && answer.includes("TOO_MANY_CONNECTIONS") &&
          /retry-after: 5/i.test(answer)
      })
      for (const socket of held) socket.destroy()
      yield* eventually("there is room", async () => {
        const answer = await Effect.runPromise(talk(url, "GET /me HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"))
        return answer.startsWith("HTTP/1.1 401 ")
      })
    }))

  it.live("whose headers do not come is closed, with a 408 in the envelope", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ headersTimeout: "300 millis" })
      for (const begun of ["GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", ""]) {
        const answer = yield* talk(url, begun)
        assert.isTrue(answer.startsWith("HTTP/1.1 408 "), `${begun}: ${answer}`)
        assert.include(answer, "\"code\":\"REQUEST_TIMEOUT\"")
      }
    }))

  it.live("whose body arrives too slowly is closed, and leaves nothing", () =>
    Effect.gen(function*() {
      const server = yield* start({ minimumRate: 10_000, minimumRatePatience: "400 millis" })
      const socket = Net.connect(Number(new URL(server.url).port), "127.0.0.1")
      let answer = ""
      const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()))
      socket.on("data", (chunk) => answer += String(chunk))
      socket.on("error", () => {})
      socket.write(
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n" +
          "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n"
      )
      const drops = setInterval(() => socket.write("x"), 20)
      yield* Effect.promise(() => closed)
      clearInterval(drops)
      assert.isTrue(answer.startsWith("HTTP/1.1 408 "), answer)
      assert.include(answer, "too slowly")
      yield* eventually("nothing is left", () => Fs.readdirSync(Path.join(server.folder, "incoming")).length === 0)
    }))

  it.live("that does not read its download loses it: the file is available again after the grace time", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ minimumRate: 10_000, minimumRatePatience: "400 millis", grace: "100 millis" })
      const content = pattern(LARGE)
      const { key } = yield* uploaded(url, content)
      const stalled = yield* openDownload(`${url}/${key}`)
      assert.strictEqual(stalled.status, 200)
      let got: Buffer | undefined
      yield* eventually("somebody else gets it", async () => {
        const response = await fetch(`${url}/${key}`)
        if (response.status === 200) got = Buffer.from(await response.arrayBuffer())
        else await response.arrayBuffer()
        return got !== undefined
      })
      assert.isTrue(got!.equals(content))
      stalled.response.destroy()
    }))

  it.live("that does not read its download loses it, also with pipelined requests", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ minimumRate: 10_000, minimumRatePatience: "400 millis", grace: "1 second" })
      const { key } = yield* uploaded(url, pattern(LARGE), { headers: anna })
      const socket = Net.connect(Number(new URL(url).port), "127.0.0.1")
      yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))
      // Nothing is read, so the end of the connection only shows at a write.
      socket.pause().on("error", () => {})
      const request = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`
      socket.write(request(`/${key}`) + request("/openapi.json"))
      const statusOf = () => fetch(`${url}/${key}`, { method: "HEAD" }).then(({ status }) => status)
      // A slow machine may look only when it is free again.
      const attempts = () =>
        Effect.runPromise(call(url, { headers: anna })).then(({ json }) => json.nodes[0]!["attempts"])
      yield* eventually("it is taken", async () => (await attempts()) === 1)
      yield* eventually("it is free again", async () => (await statusOf()) === 200)
    }))

  it.live("that is slow but steady is served to the end", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ minimumRate: 1000, minimumRatePatience: "3 seconds" })
      const content = pattern(LARGE)
      const { key } = yield* uploaded(url, content)
      const open = yield* openDownload(`${url}/${key}`)
      const chunks: Array<Buffer> = []
      let taken = 0
      yield* Effect.promise(async () => {
        for await (const chunk of open.response as AsyncIterable<Buffer>) {
          chunks.push(chunk)
          taken += chunk.length
          // For longer than the patience, a little at a time.
          if (taken < 70 * 65_536) await new Promise((resolve) => setTimeout(resolve, 50))
        }
      })
      assert.isTrue(Buffer.concat(chunks).equals(content))
    }))

  it.live("that is kept alive serves many requests, of HTTP/1.0 too where it asks for it", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const agent = new Http.Agent({ keepAlive: true, maxSockets: 1 })
      const ports = new Set<number>()
      for (let i = 0; i < 5; i++) {
        yield* Effect.promise(() =>
          new Promise<void>((resolve, reject) => {
            Http.get(`${url}/abcdefghijkl`, { agent }, (response) => {
              ports.add(response.socket.localPort!)
              response.resume().on("end", resolve)
            }).on("error", reject)
          })
        )
      }
      agent.destroy()
      assert.strictEqual(ports.size, 1)
      const { key } = yield* uploaded(url, "old and new")
      const old = yield* talk(url, `GET /${key} HTTP/1.0\r\n\r\n`)
      assert.match(old, /^HTTP\/1\.1 200 OK\r\n/)
      assert.match(old, /\r\nConnection: close\r\n/i)
      assert.isTrue(old.endsWith("\r\n\r\nold and new"))
    }))

  it.live("that waits for 100 Continue is refused before it sends", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ plans: { premium: { maxUploadBytes: 1000, rateLimit: null } } })
      const head = (length: number) =>
        "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
        `Connection: close\r\nContent-Length: ${length}\r\n\r\n`
      const refused = yield* talk(url, head(100_000_000))
      assert.isTrue(refused.startsWith("HTTP/1.1 413 "), refused)
      const socket = Net.connect(Number(new URL(url).port), "127.0.0.1", () => socket.write(head(10)))
      let answer = ""
      socket.on("data", (chunk) => {
        if (answer === "") socket.write("text=hello")
        answer += String(chunk)
      })
      yield* Effect.promise(() => new Promise((resolve) => socket.on("close", resolve)))
      assert.isTrue(answer.startsWith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"), answer)
    }))
})

describe("a server that stops", () => {
  it.live(
    "lets a transfer end, and refuses what comes on a connection that is still open",
    () =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        const scope = yield* Scope.make()
        const { url } = yield* Scope.provide(start({ folder, gracefulShutdownTimeout: "20 seconds" }), scope)
        const content = pattern(LARGE)
        const { key } = yield* uploaded(url, content)
        const open = yield* openDownload(`${url}/${key}`)
        // A request that is pipelined behind one that has yet to end comes in while the server stops.
        const { key: second } = yield* uploaded(url, content)
        const socket = Net.connect(Number(new URL(url).port), "127.0.0.1")
        const pieces: Array<Buffer> = []
        const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()))
        socket.write(`GET /${second} HTTP/1.1\r\nHost: x\r\n\r\n`)
        yield* Effect.promise(() => new Promise((resolve) => socket.once("readable", resolve)))
        const stopping = Effect.runPromise(Scope.close(scope, Exit.void))
        yield* eventually("nobody new is let in", () => fetch(url).then(() => false, () => true))
        socket.write("GET /me HTTP/1.1\r\nHost: x\r\n\r\n")
        socket.on("data", (chunk: Buffer) => pieces.push(chunk))
        yield* Effect.promise(() => closed)
        const answers = Buffer.concat(pieces)
        const tail = String(answers.subarray(-1000))
        assert.include(tail, "HTTP/1.1 503 Service Unavailable")
        assert.include(tail, "SERVER_STOPPING")
        const got = yield* Effect.promise(() => open.response.toArray())
        assert.isTrue(Buffer.concat(got as Array<Buffer>).equals(content))
        yield* Effect.promise(() => stopping)
      })
  )
})

describe("the program", () => {
  const run = (args: ReadonlyArray<string>) =>
    Effect.promise(() =>
      new Promise<{ status: number | null; stderr: string; stdout: string }>((resolve) => {
        const child = spawn(process.execPath, [BIN, ...args], { stdio: ["ignore", "pipe", "pipe"] })
        let stderr = ""
        let stdout = ""
        child.stderr.on("data", (chunk) => stderr += String(chunk))
        child.stdout.on("data", (chunk) => stdout += String(chunk))
        child.on("close", (status) => resolve({ status, stderr, stdout }))
      })
    )

  const serve = (args: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      const child = yield* Effect.acquireRelease(
        Effect.sync(() => spawn(process.execPath, [BIN, ...args], { stdio: ["ignore", "pipe", "pipe"] })),
        (child) => Effect.sync(() => child.kill("SIGKILL"))
      )
      let output = ""
      child.stdout.on("data", (chunk) => output += String(chunk))
      child.stderr.on("data", (chunk) => output += String(chunk))
      yield* eventually("it says what it serves", () => output.includes("\n"))
      return { child, output: () => output }
    })

  it.live("makes, lists and revokes keys, which a running server follows", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      // The file lies elsewhere, as in a folder of secrets: it is written through the link, also where it is missing.
      const link = Path.join(folder, "accounts.json")
      Fs.symlinkSync(Path.join(yield* temporaryFolder, "secret.json"), link)
      const data = ["--data", folder]
      const { output } = yield* serve(["--port", "0", ...data])
      const url = /file\.io on (\S+?),/.exec(output())![1]!
      const admin = /admin on (\S+?),/.exec(output())![1]!
      assert.strictEqual(output().trim().split("\n").length, 1)
      assert.strictEqual((yield* call(`${admin}/healthz`)).json["status"], "ok")

      const created = yield* run(["keys", "create", "anna", "--plan", "premium", ...data])
      assert.strictEqual(created.status, 0, created.stderr)
      const key = created.stdout.trim()
      assert.match(key, /^[0-9A-Z]{7}\.[0-9A-Z]{7}(-[0-9A-Z]{7}){3}$/)
      assert.notInclude(Fs.readFileSync(link, "utf8"), key.split(".")[1]!)
      assert.strictEqual(Fs.statSync(link).mode & 0o777, 0o600)
      const me = () => Effect.runPromise(call(`${url}/me`, { headers: bearer(key) })).then(({ json }) => json)
      yield* eventually("the key is known", async () => (await me())["planId"] === 1)

      const second = (yield* run(["keys", "create", "anna", ...data])).stdout.trim()
      const listed = (yield* run(["keys", "list", ...data])).stdout
      assert.match(listed, new RegExp(`^anna\tpremium\t${key.slice(0, 7)} .*, ${second.slice(0, 7)} `))
      const revoked = yield* run(["keys", "revoke", key.slice(0, 7), ...data])
      assert.strictEqual(revoked.status, 0, revoked.stderr)
      yield* eventually("the key is not known any more", async () => (await me())["status"] === 401)
      assert.strictEqual((yield* call(`${url}/me`, { headers: bearer(second) })).json["planId"], 1)
      assert.isTrue(Fs.lstatSync(link).isSymbolicLink())
    }))

  it.live("says what is wrong in one line, and what is allowed", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const cases = [
        [["--prot", "1"], /--prot/],
        [["keys"], /no command keys/],
        [["keys", "create", "x", "--plan", "gold"], /no plan gold; known: free, premium/],
        [["keys", "revoke", "ABCDEFG"], /no key ABCDEFG/],
        [["keys", "create", ""], /needs a name/],
        [["keys", "create", "a\nb"], /control characters/],
        [["--port", "70000"], /--port: "70000" cannot be read; allowed: a whole number from 0 to 65535\n$/],
        [["--idle-timeout", "soon"], /--idle-timeout: "soon" cannot be read; allowed: a time such as 30s/],
        [["--public-url", "share.example:8080"], /--public-url: .*such as https:\/\/share\.example:8080\n$/],
        [["--public-url", "localhost:8080"], /such as http:\/\/localhost:8080\n$/],
        [["--public-url", "ftp://x"], /an address of http or https/],
        [["--trusted-proxies", "nobody", "--port", "0", "--admin-port", "none"], /nobody is no address/]
      ] as const
      const ends = yield* Effect.forEach(
        cases,
        ([args], i) => run([...args, "--data", Path.join(folder, String(i))]),
        { concurrency: 3 }
      )
      for (const [i, { status, stderr, stdout }] of ends.entries()) {
        assert.strictEqual(status, 1, stderr)
        assert.strictEqual(stdout, "")
        assert.match(stderr, cases[i]![1])
        assert.match(stderr, /^fileio-server: /)
      }
      const { status, stdout } = yield* run(["--help"])
      assert.strictEqual(status, 0)
      for (const flag of ["--port", "--data", "--trusted-proxies", "--min-free", "keys create"]) {
        assert.include(stdout, flag)
      }
    }))
})

describe("the configuration", () => {
  it.effect("has every option under its name, and says of each what is wrong", () =>
    Effect.gen(function*() {
      const read = (env: Record<string, string>) =>
        ServerOptions.config.pipe(
          Effect.provideService(
            ConfigProvider.ConfigProvider,
            ConfigProvider.fromEnv({
              env: Object.fromEntries(Object.entries(env).map(([name, value]) => [`FILEIO_SERVER_${name}`, value]))
            })
          )
        )
      const defaults = yield* read({})
      assert.strictEqual(defaults.port, 8080)
      assert.deepStrictEqual(defaults.admin, { host: "127.0.0.1", port: 8081 })
      assert.strictEqual(defaults.accountsFile, Path.join("data", "accounts.json"))
      assert.strictEqual(defaults.anonymousRateLimit, 10)
      const all = yield* read({
        TRUSTED_PROXIES: "10.0.0.0/8, ::1",
        ALLOWED_ORIGINS: "https://a.example,https://b.example",
        ANONYMOUS_RATE: "none",
        ADMIN_PORT: "none",
        MIN_FREE: "2GiB",
        REMOVE_ORPHANS: "true",
        MIN_RATE: "0B",
        MAX_CONNECTIONS: "10",
        MAX_CONNECTIONS_PER_ADDRESS: "none",
        DRAIN_TIMEOUT: "3 seconds",
        MAX_DRAIN: "1MiB",
        BUFFER_MEMORY: "5MiB",
        HEADERS_TIMEOUT: "5 seconds",
        PORT: "0"
      })
      assert.deepStrictEqual(all.trustedProxies, ["10.0.0.0/8", "::1"])
      assert.deepStrictEqual(all.allowedOrigins, ["https://a.example", "https://b.example"])
      assert.isNull(all.anonymousRateLimit)
      assert.isUndefined(all.admin)
      assert.strictEqual(all.minFreeBytes, 2 * 1024 ** 3)
      assert.isTrue(all.removeOrphans)
      assert.strictEqual(all.minimumRate, 0)
      assert.strictEqual(all.maxConnections, 10)
      assert.isNull(all.maxConnectionsPerAddress)
      assert.strictEqual(all.maxDrainBytes, 1024 ** 2)
      assert.strictEqual(all.bufferMemory, 5 * 1024 ** 2)
      for (const [name, value] of [["ANONYMOUS_RATE", "0"], ["MAX_CONNECTIONS", "x"], ["MIN_FREE", "much"]] as const) {
        const said = String(yield* Effect.flip(read({ [name]: value })))
        assert.isTrue(said.startsWith(`FILEIO_SERVER_${name}: "${value}" cannot be read; allowed: `), said)
        assert.notMatch(said, /SchemaError|\n/)
      }
      // As people and secret stores write them.
      const odd = yield* read({
        HOST: "0.0.0.0\n",
        PORT: " 80 ",
        ADMIN_PORT: "None\n",
        IDLE_TIMEOUT: "30",
        GRACE: "PT30S\n",
        HEADERS_TIMEOUT: "1 min",
        SWEEP_INTERVAL: "20 sec",
        REMOVE_ORPHANS: "YES\n",
        MIN_FREE: "1048576",
        PUBLIC_URL: "https://share.example/\n",
        ACCOUNTS: " ",
        API_KEY: "A.KEY\r\n",
        MAX_CONNECTIONS: ""
      })
      assert.deepStrictEqual([odd.host, odd.port, odd.admin], ["0.0.0.0", 80, undefined])
      const millis = [odd.idleTimeout, odd.grace, odd.headersTimeout, odd.sweepInterval].map((time) =>
        Duration.toMillis(DurationInput.parseOptionUnsafe("time", time!))
      )
      assert.deepStrictEqual(millis, [30_000, 30_000, 60_000, 20_000])
      assert.deepStrictEqual([odd.removeOrphans, odd.minFreeBytes, odd.maxConnections], [true, 1024 ** 2, 4096])
      assert.strictEqual(String(odd.publicUrl), "https://share.example/")
      assert.strictEqual(odd.accountsFile, Path.join("data", "accounts.json"))
      assert.strictEqual(Redacted.value(odd.accounts![0]!.apiKey), "A.KEY")
    }))

  it.effect("of an embedded server takes an address of links only if it is one", () =>
    Effect.gen(function*() {
      for (const publicUrl of ["share.example:8080", "ftp://x", "", "https://share.example/?a=b"]) {
        const error = yield* Effect.flip(start({ publicUrl }))
        assert.include(
          error.message,
          "publicUrl: it cannot be read; allowed: an address of http or https, such as https://"
        )
      }
    }))

  it.effect("of accounts in a file gives plans and keys, and says what is wrong with it", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const accountsFile = Path.join(folder, "accounts.json")
      Fs.writeFileSync(
        accountsFile,
        JSON.stringify({
          plans: { team: { maxUploadBytes: 10, maxDownloads: null, maxExpires: "90 days", rateLimit: null } },
          accounts: []
        })
      )
      const { url } = yield* start({ folder, accountsFile, anonymousPlan: "team" })
      assertRefused(yield* upload(url, "more than ten bytes"), 413, "PAYLOAD_TOO_LARGE")
      const refused = yield* upload(url, "x", { fields: { expires: "91d" } })
      assertRefused(refused, 402, "PLAN_LIMIT")
      assert.strictEqual(refused.json["allowed"], 90 * 24 * 60 * 60)

      for (
        const [text, says] of [
          ["{", /JSON/],
          [JSON.stringify({ accounts: [{ name: "x", plan: "free", keys: [{ id: "A" }] }] }), /sha256/],
          [JSON.stringify({ plans: { a: { maxExpires: "soon" } }, accounts: [] }), /90 days/],
          [JSON.stringify({ accounts: [{ name: "x", plan: "gold", keys: [] }] }), /no plan gold/],
          [
            JSON.stringify({ accounts: [{ name: "", plan: "free", keys: [] }] }),
            /needs a name; the empty name would own/
          ],
          [JSON.stringify({ accounts: [{ name: " \t", plan: "free", keys: [] }] }), /needs a name/],
          [JSON.stringify({ accounts: [{ name: "a\u0000", plan: "free", keys: [] }] }), /control characters/],
          [JSON.stringify({ accounts: [{ name: "anna ", plan: "free", keys: [] }] }), /begins or ends with a blank/],
          [JSON.stringify({ accounts: [{ name: "\uD800", plan: "free", keys: [] }] }), /not Unicode/]
        ] as const
      ) {
        const path = Path.join(folder, "wrong.json")
        Fs.writeFileSync(path, text)
        const error = yield* Effect.flip(start({ accountsFile: path }))
        assert.match(error.message, says)
      }
      yield* TestClock.adjust("1 second")
    }))

  it.live("of accounts in a file is read again when it changes; a broken file keeps the last good one, and the health says so", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const accountsFile = Path.join(folder, "accounts.json")
      const keys = [{
        id: "A",
        sha256: createHash("sha256").update("A.KEY").digest("hex"),
        created: "2026-01-01T00:00:00.000Z"
      }]
      const write = (maxUploadBytes: number, plan = "team") => {
        const file = { plans: { team: { maxUploadBytes, rateLimit: null } }, accounts: [{ name: "anna", plan, keys }] }
        Fs.writeFileSync(`${accountsFile}.next`, JSON.stringify(file))
        Fs.renameSync(`${accountsFile}.next`, accountsFile)
      }
      write(10)
      const { adminUrl, url } = yield* start({ folder, accountsFile, anonymousPlan: "team", admin: {} })
      const allowed = Effect.map(call(`${url}/me`, { headers: bearer("A.KEY") }), ({ json }) => json["maxUploadBytes"])
      const health = Effect.map(call(`${adminUrl!}/healthz`), ({ json }) => json)
      const isAllowed = (bytes: number) => () => Effect.runPromise(Effect.map(allowed, (now) => now === bytes))
      const isFault = (count: number) => () =>
        Effect.runPromise(
          Effect.map(health, ({ faults }) =>
            (faults as Record<string, { readonly count: number }>)["accounts-file"]?.count === count)
        )
      assert.strictEqual(yield* allowed, 10)
      assert.strictEqual((yield* health)["status"], "ok")
      write(20)
      yield* eventually("the plan has changed", isAllowed(20))

      write(30, "gold")
      yield* eventually("a plan that there is not is a fault", isFault(1))
      assert.strictEqual((yield* health)["status"], "degraded")
      assert.strictEqual(yield* allowed, 20)
      Fs.writeFileSync(accountsFile, "{")
      yield* eventually("a torn file is a fault", isFault(2))
      assert.strictEqual(yield* allowed, 20)
      Fs.rmSync(accountsFile)
      yield* eventually("a file that is gone is a fault", isFault(3))
      assert.strictEqual(yield* allowed, 20)
      write(40)
      yield* eventually("the file is good again", isAllowed(40))
    }))

  it.effect("of accounts with a byte-order mark is read, as editors of Windows write it", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const accountsFile = Path.join(folder, "accounts.json")
      const keys = [{
        id: "A",
        sha256: createHash("sha256").update("A.KEY").digest("hex"),
        created: "2026-01-01T00:00:00.000Z"
      }]
      Fs.writeFileSync(
        accountsFile,
        `\uFEFF${JSON.stringify({ accounts: [{ name: "anna", plan: "free", keys }] })}\r\n`
      )
      const { url } = yield* start({ folder, accountsFile })
      assert.strictEqual((yield* call(`${url}/me`, { headers: bearer("A.KEY") })).status, 200)
    }))

  it.effect("of an account takes a key with a line end, and refuses what can be no name and no key", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ accounts: [{ name: "anna", apiKey: Redacted.make(" A.KEY\r\n") }] })
      assert.strictEqual((yield* call(`${url}/me`, { headers: bearer("A.KEY") })).status, 200)
      for (
        const [name, key, says] of [
          ["", "A.KEY", /needs a name/],
          [" ", "A.KEY", /needs a name/],
          ["a\nb", "A.KEY", /control characters/],
          ["anna", "", /one word of printable ASCII/],
          ["anna", "two words", /one word of printable ASCII/],
          ["anna", "k\u00E4y", /one word of printable ASCII/]
        ] as const
      ) {
        const error = yield* Effect.flip(start({ accounts: [{ name, apiKey: Redacted.make(key) }] }))
        assert.strictEqual(error._tag, "InvalidOption")
        assert.match(error.message, says)
        if (key !== "") assert.notInclude(error.message, key)
      }
    }))
})
