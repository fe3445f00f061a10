/** Proxies, certificates, unix sockets and headers, against real ones, over each client that supports them. */
import {
  FetchFileIo,
  FileBody,
  FileIo,
  type FileTransfer,
  RateLimit,
  RetryPolicy,
  Transport
} from "@effect-fileio/client"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { FileIoServer } from "@effect-fileio/server"
import { NodeHttpClient } from "@effect/platform-node"
import { Agent, MockAgent } from "@effect/platform-node/Undici"
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Redacted, Stream } from "effect"
import { readFileSync } from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import { join } from "node:path"
import * as Tls from "node:tls"
import {
  fixture,
  fixturePath,
  freePort,
  hasTinyproxy,
  listening,
  PASSPHRASE,
  portOf,
  proxy,
  secureHost,
  temporary,
  unixHost
} from "./network.ts"
import { apiKey, server } from "./utils.ts"

type Services = FileIo.FileIo | FileTransfer.FileTransfer

const url = Effect.map(FileIoServer.FileIoServer, (server) => server.url)

/** Uploads, downloads and changes a file: each kind of call. */
const roundTrip = (
  options: NodeFileIo.Options,
  layer: (options: NodeFileIo.Options) => Layer.Layer<Services, unknown> = NodeFileIo.layer
) =>
  Effect.gen(function*() {
    const fileIo = yield* FileIo.FileIo
    const content = new Uint8Array(700_000).fill(7)
    const file = yield* fileIo.upload(FileBody.bytes(content, { name: "a.bin" }), { maxDownloads: 2 })
    yield* fileIo.update(file.key, { expires: "1h" })
    const { bytes } = yield* fileIo.downloadBytes(file.key)
    assert.deepStrictEqual(bytes, content)
    yield* fileIo.me
  }).pipe(Effect.provide(layer({ apiKey, ...options })))

/** The reason of a failed upload; expects that nothing was stored. */
const notSent = (
  options: NodeFileIo.Options,
  layer: (options: NodeFileIo.Options) => Layer.Layer<Services, unknown> = NodeFileIo.layer
) =>
  Effect.gen(function*() {
    const fileIo = yield* FileIo.FileIo
    const upload = yield* Effect.flip(fileIo.upload(FileBody.text("hello", { name: "a.txt" })))
    const download = yield* Effect.flip(fileIo.downloadBytes("abcdefABCDEF"))
    assert.strictEqual(upload.stored, "no", upload.message)
    assert.strictEqual(download.copy, "kept", download.message)
    assert.notInclude(upload.message, "s3cret")
    assert.notInclude(JSON.stringify(upload), "s3cret")
    return upload
  }).pipe(
    FileIo.withRetry(RetryPolicy.none),
    Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.unlimited),
    Effect.provide(layer({ checkLimits: false, ...options }))
  )

const environment = (variables: Record<string, string>) =>
  Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: variables }))

const withServer = <A, E>(effect: Effect.Effect<A, E, FileIoServer.FileIoServer>) => Effect.provide(effect, server)

describe.skipIf(!hasTinyproxy)("a proxy with a password", () => {
  it.live("is found in the environment, also in lower case, for http and https", () =>
    Effect.gen(function*() {
      const { asked, url: address } = yield* proxy
      const host = yield* url
      const secure = yield* secureHost(host)
      const tls = { ca: fixture("ca.crt") }
      for (
        const variables of [
          { HTTP_PROXY: address, HTTPS_PROXY: address },
          { http_proxy: address, https_proxy: address, HTTPS_PROXY: "http://127.0.0.1:1" },
          { ALL_PROXY: address.replace("http://", "") }
        ]
      ) {
        const before = asked().length
        yield* environment(variables)(roundTrip({ baseUrl: host }))
        const forwarded = asked().slice(before)
        assert.isAtLeast(forwarded.length, 4)
        assert.isTrue(forwarded.every((request) => !request.startsWith("CONNECT")))
        yield* environment(variables)(roundTrip({ baseUrl: secure, tls }))
        assert.include(asked().slice(before), `CONNECT ${new URL(secure).host}`)
      }
    }).pipe(Effect.scoped, withServer))

  it.live("is not used for hosts of NO_PROXY, with `proxy: false`, and without configuration", () =>
    Effect.gen(function*() {
      const { asked, url: address } = yield* proxy
      const host = yield* url
      const { hostname, port } = new URL(host)
      for (const none of [hostname, `other.example, ${hostname}:${port}`, "*"]) {
        yield* environment({ HTTP_PROXY: address, NO_PROXY: none })(roundTrip({ baseUrl: host }))
        yield* environment({ http_proxy: address, no_proxy: none })(roundTrip({ baseUrl: host }))
      }
      yield* environment({ HTTP_PROXY: address })(roundTrip({ baseUrl: host, proxy: false }))
      yield* environment({ HTTP_PROXY: "" })(roundTrip({ baseUrl: host }))
      assert.deepStrictEqual(asked(), [])
      // A host that is not in the list.
      yield* environment({ HTTP_PROXY: address, NO_PROXY: "other.example" })(roundTrip({ baseUrl: host }))
      assert.isNotEmpty(asked())
    }).pipe(Effect.scoped, withServer))

  it.live("is taken from the option, whatever the environment says", () =>
    Effect.gen(function*() {
      const { asked, url: address } = yield* proxy
      const host = yield* url
      const wrong = environment({ HTTP_PROXY: "http://127.0.0.1:1", NO_PROXY: "*" })
      yield* wrong(roundTrip({ baseUrl: host, proxy: Redacted.make(address) }))
      yield* wrong(roundTrip({ baseUrl: host, proxy: new URL(address) }))
      assert.isAtLeast(asked().length, 8)
    }).pipe(Effect.scoped, withServer))

  it.live("that refuses the password is named, and nothing was sent", () =>
    Effect.gen(function*() {
      const { bare, port } = yield* proxy
      const host = yield* url
      const secure = yield* secureHost(host)
      const wrong = `http://ada:s3cret-but-wrong@127.0.0.1:${port}`
      for (const [baseUrl, proxy] of [[host, bare], [secure, bare], [secure, wrong]] as const) {
        const error = yield* notSent({ baseUrl, proxy, tls: { ca: fixture("ca.crt") } })
        assert.strictEqual(error.reason._tag, "Unreachable")
        assert.match(
          error.message,
          /the proxy 127\.0\.0\.1:\d+ wants another user and password, or any \(ERR_PROXY_40[17]\)/
        )
        assert.isFalse(error.isRetryable)
      }
      // For plain HTTP, tinyproxy itself responds to a wrong password.
      assert.strictEqual((yield* notSent({ baseUrl: host, proxy: wrong })).reason._tag, "Unauthorized")
    }).pipe(Effect.scoped, withServer))

  it.live("that cannot reach the host", () =>
    Effect.gen(function*() {
      const { url: proxy } = yield* proxyAt
      const port = yield* freePort
      const error = yield* notSent({ baseUrl: `https://localhost:${port}`, proxy })
      assert.match(
        error.message,
        /cannot connect to localhost:\d+ through the proxy 127\.0\.0\.1:\d+ \(ERR_PROXY_5\d\d\)/
      )
    }).pipe(Effect.scoped))

  it.live("does not hide that the certificate of the host is wrong", () =>
    Effect.gen(function*() {
      const { url: proxy } = yield* proxyAt
      const host = yield* secureHost(yield* url)
      const unknown = yield* notSent({ baseUrl: host, proxy })
      assert.match(unknown.message, /the certificate of localhost:\d+ cannot be trusted \(.*NODE_EXTRA_CA_CERTS/)
      const other = yield* secureHost(yield* url, { certificate: "other-host" })
      const wrong = yield* notSent({ baseUrl: other, proxy, tls: { ca: fixture("ca.crt") } })
      assert.match(wrong.message, /ERR_TLS_CERT_ALTNAME_INVALID/)
    }).pipe(Effect.scoped, withServer))

  it.live("carries a client certificate to the host behind it", () =>
    Effect.gen(function*() {
      const { asked, url: proxy } = yield* proxyAt
      const host = yield* secureHost(yield* url, { wantsCertificate: true })
      const tls = {
        ca: fixture("ca.crt"),
        cert: fixture("client.crt"),
        key: fixture("client.key"),
        passphrase: PASSPHRASE
      }
      yield* roundTrip({ baseUrl: host, proxy, tls })
      assert.include(asked(), `CONNECT ${new URL(host).host}`)
    }).pipe(Effect.scoped, withServer))
})

const proxyAt = proxy

describe.skipIf(!hasTinyproxy)("an early refusal through a proxy", () => {
  const refusal = JSON.stringify({ success: false, status: 413, code: "TOO_LARGE", message: "too large" })

  // Where a host closes a connection that it has not read to its end, a reset may overtake its response on the way through a
  // proxy.
  it.live.each(
    [
      ["reaches the caller every time, where the host reads on", false, ["PlanLimit no"]],
      ["is that refusal or unknown, where the host closes at once", true, ["PlanLimit no", "Unreachable unknown"]]
    ] as const
  )(
    "%s",
    ([, closes, allowed]) =>
      Effect.gen(function*() {
        const { url: proxy } = yield* proxyAt
        const host = yield* listening(
          Https.createServer({
            key: readFileSync(fixture("host.key")),
            cert: readFileSync(fixture("host.crt"))
          }, (request, response) => {
            let size = 0
            request.on("error", () => {})
            request.on("data", (chunk: Buffer) => {
              size += chunk.length
              if (size < 200_000 || response.headersSent) return
              response.writeHead(413, {
                "content-type": "application/json",
                "content-length": refusal.length,
                ...(closes ? { connection: "close" } : {})
              })
              response.end(refusal)
            })
          })
        )
        const chunk = new Uint8Array(500_000)
        const huge = FileBody.stream(() => Stream.forever(Stream.make(chunk)), { size: 1e12 })
        const seen = new Map<string, number>()
        const count = 12
        yield* Effect.forEach(Array.from({ length: count }), () =>
          Effect.gen(function*() {
            const error = yield* Effect.flip(FileIo.FileIo.use((fileIo) => fileIo.upload(huge)))
            const ends = `${error.reason._tag} ${error.stored}`
            seen.set(ends, (seen.get(ends) ?? 0) + 1)
          }), { concurrency: 4 }).pipe(
            FileIo.withRetry(RetryPolicy.none),
            Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.unlimited),
            Effect.provide(NodeFileIo.layer({
              baseUrl: `https://localhost:${portOf(host)}`,
              proxy,
              tls: { ca: fixture("ca.crt") },
              checkLimits: false
            }))
          )
        assert.strictEqual(Array.from(seen.values()).reduce((sum, each) => sum + each, 0), count)
        for (const ends of seen.keys()) assert.include<string>(allowed, ends)
      }).pipe(Effect.scoped)
  )
})

describe("a proxy that fails", () => {
  const scripted = (answer: (socket: Net.Socket) => void) =>
    Effect.map(
      listening(Net.createServer((socket) => {
        socket.on("error", () => {})
        socket.once("data", () => answer(socket))
      })),
      (server) => `http://ada:s3cret@127.0.0.1:${portOf(server)}`
    )

  it.live("is named, and nothing was sent: dead, closing, resetting, silent, or no proxy at all", () =>
    Effect.gen(function*() {
      const dead = `http://ada:s3cret@127.0.0.1:${yield* freePort}`
      const closes = yield* scripted((socket) => socket.end())
      const resets = yield* scripted((socket) => socket.resetAndDestroy())
      const silent = yield* scripted(() => {})
      const tunnelDies = yield* scripted((socket) => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n")
        socket.once("data", () => socket.destroy())
      })
      const babbles = yield* scripted((socket) => void socket.write("220 mail ready\r\n"))
      for (
        const [proxy, expected] of [
          [dead, /through the proxy 127\.0\.0\.1:\d+ \(ECONNREFUSED\)/],
          [closes, /through the proxy .* \(ERR_PROXY_CLOSED\)/],
          [resets, /through the proxy/],
          [silent, /no connection within 500ms/],
          [tunnelDies, /through the proxy/],
          [babbles, /through the proxy/]
        ] as const
      ) {
        const error = yield* notSent({
          baseUrl: "https://localhost:1",
          proxy: Redacted.make(proxy),
          // The others end by themselves, however slow the machine is.
          connectTimeout: proxy === silent ? "500 millis" : "1 minute"
        })
        assert.match(error.message, expected)
      }
      const plain = yield* notSent({ baseUrl: "http://localhost:1", proxy: Redacted.make(dead) })
      assert.match(plain.message, /through the proxy 127\.0\.0\.1:\d+ \(ECONNREFUSED\)/)
    }).pipe(Effect.scoped))

  it.live("with an invalid address is refused beforehand, without the address in the error", () =>
    Effect.gen(function*() {
      const failing = (options: NodeFileIo.Options) =>
        Effect.flip(Effect.provide(FileIo.FileIo.use((fileIo) => fileIo.me), NodeFileIo.layer(options)))
      for (const proxy of ["socks5://ada:s3cret@127.0.0.1:1080", "http://ada:s3cret@:70000"]) {
        const error = yield* failing({ proxy })
        assert.match(error.message, /^invalid proxy: allowed: http:\/\/host:port/)
        assert.notInclude(JSON.stringify(error), "s3cret")
      }
      const error = yield* environment({ https_proxy: "ftp://s3cret@a" })(failing({}))
      assert.match(error.message, /^invalid https_proxy/)
    }))
})

/** A host with a scripted response to the first bytes of TLS. */
const raw = (answer: (socket: Net.Socket) => void) =>
  Effect.map(
    listening(Net.createServer((socket) => {
      socket.on("error", () => {})
      socket.once("data", () => answer(socket))
    })),
    (server) => `https://localhost:${portOf(server)}`
  )

/** Hosts with which the TLS handshake fails. */
const withoutTls = Effect.gen(function*() {
  const key = readFileSync(fixture("host.key"))
  const cert = readFileSync(fixture("host.crt"))
  const tls = (options: Tls.TlsOptions) =>
    Effect.map(
      listening(Tls.createServer({ key, cert, ...options })),
      (server) => `https://localhost:${portOf(server)}`
    )
  return {
    "http on the port of https": (yield* url).replace("http:", "https:"),
    "a close": yield* raw((socket) => socket.destroy()),
    "an end": yield* raw((socket) => socket.end()),
    "a reset": yield* raw((socket) => socket.resetAndDestroy()),
    "HTTP/2 alone": yield* tls({ ALPNProtocols: ["h2"] }),
    "an old version": yield* tls({ minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" })
  }
})

describe.each(["undici", "sockets"] as const)("certificates over %s", (client) => {
  const layer = (options: NodeFileIo.Options) =>
    client === "undici" ? NodeFileIo.layer({ proxy: false, ...options }) : NodeFileIo.layerSockets(options)
  const certificate = { cert: fixture("client.crt"), key: fixture("client.key"), passphrase: PASSPHRASE }

  it.live("a private authority is trusted: as a file, a text, bytes, or one of several", () =>
    Effect.gen(function*() {
      const host = yield* secureHost(yield* url)
      const text = readFileSync(fixture("ca.crt"), "utf8")
      for (const ca of [fixture("ca.crt"), text, new TextEncoder().encode(text), [fixture("localhost.crt"), text]]) {
        yield* roundTrip({ baseUrl: host, tls: { ca } }, layer)
      }
      yield* roundTrip({ baseUrl: host.replace("localhost", "127.0.0.1"), tls: { ca: text } }, layer)
      yield* roundTrip({ baseUrl: host, tls: { rejectUnauthorized: false } }, layer)
      const other = yield* secureHost(yield* url, { certificate: "other-host" })
      yield* roundTrip({ baseUrl: other, tls: { ca: text, servername: "other.example" } }, layer)
    }).pipe(Effect.scoped, withServer))

  it.live("a host that cannot be trusted gets nothing, and the error says why", () =>
    Effect.gen(function*() {
      const unknown = yield* notSent({ baseUrl: yield* secureHost(yield* url) }, layer)
      assert.strictEqual(unknown.reason._tag === "Unreachable" && unknown.reason.problem, "certificate")
      assert.match(
        unknown.message,
        /the certificate of localhost:\d+ cannot be trusted \(SELF_SIGNED_\w+|UNABLE_TO_\w+\).*NODE_EXTRA_CA_CERTS/
      )
      const wrong = yield* notSent({
        baseUrl: yield* secureHost(yield* url, { certificate: "other-host" }),
        tls: { ca: fixture("ca.crt") }
      }, layer)
      assert.match(wrong.message, /cannot be trusted \(ERR_TLS_CERT_ALTNAME_INVALID\)/)
      assert.isFalse(wrong.isRetryable)
    }).pipe(Effect.scoped, withServer))

  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    it.live(`a client certificate is shown to a host that wants one, over ${maxVersion}`, () =>
      Effect.gen(function*() {
        const host = yield* secureHost(yield* url, { wantsCertificate: true, maxVersion })
        yield* roundTrip({ baseUrl: host, tls: { ca: fixture("ca.crt"), ...certificate } }, layer)
        const error = yield* notSent({ baseUrl: host, tls: { ca: fixture("ca.crt") } }, layer)
        // In TLS 1.2 the alert does not say what is missing.
        assert.match(
          error.message,
          maxVersion === "TLSv1.2" ? /cannot connect/ : /wants a client certificate that it trusts/
        )
      }).pipe(Effect.scoped, withServer))
  }

  it.live("unreadable files fail before any request, without the key in the error", () =>
    Effect.gen(function*() {
      const failing = (tls: NodeFileIo.Options["tls"]) =>
        Effect.flip(Effect.provide(FileIo.FileIo.use((fileIo) => fileIo.me), layer({ tls })))
      const missing = yield* failing({ ca: new URL("file:///nowhere/ca.pem") })
      assert.match(missing.message, /invalid tls\.ca: cannot read \/nowhere\/ca\.pem \(ENOENT\)/)
      assert.match((yield* failing({ ca: "hello" })).message, /invalid tls\.ca: it holds no certificate/)
      assert.match((yield* failing({ ca: 5 as never })).message, /invalid tls\.ca: allowed: PEM as text or bytes/)
      assert.match((yield* failing({ cert: fixture("client.crt") })).message, /invalid tls\.key: .* needs both/)
      const wrong = yield* failing({ ...certificate, passphrase: Redacted.make("s3cret") })
      assert.match(wrong.message, /invalid tls\.key: .*check the passphrase/)
      assert.notInclude(JSON.stringify(wrong), "s3cret")
      assert.match((yield* failing({ ...certificate, cert: fixture("host.crt") })).message, /invalid tls\.key/)
    }))

  it.live("nothing was sent when the TLS handshake fails", () =>
    Effect.gen(function*() {
      const tls = { ca: fixture("ca.crt") }
      for (const [what, baseUrl] of Object.entries(yield* withoutTls)) {
        const error = yield* notSent({ baseUrl, tls }, layer)
        assert.strictEqual(error.reason._tag, "Unreachable", what)
      }
      const silent = yield* raw(() => {})
      const error = yield* notSent({ baseUrl: silent, tls, connectTimeout: "300 millis" }, layer)
      assert.match(error.message, /no connection within 300ms/)
    }).pipe(Effect.scoped, withServer))

  it.live("nothing was sent if there is no route to the address, or no such name", () =>
    Effect.gen(function*() {
      for (const baseUrl of ["http://255.255.255.255:9", "http://[fe80::1]:9", "https://nobody.invalid"]) {
        yield* notSent({ baseUrl, connectTimeout: "1 second" }, layer)
      }
    }))

  it.live("a unix socket takes the place of the host", () =>
    Effect.gen(function*() {
      const socketPath = join(yield* temporary, "host.sock")
      yield* unixHost(yield* url, socketPath)
      yield* roundTrip({ baseUrl: "http://share.localhost", socketPath }, layer)
      const error = yield* notSent({ baseUrl: "http://share.localhost", socketPath: `${socketPath}.not` }, layer)
      assert.match(error.message, /\(ENOENT\)/)
    }).pipe(Effect.scoped, withServer))

  it.live("the configuration has all of it", () =>
    Effect.gen(function*() {
      const host = yield* secureHost(yield* url, { wantsCertificate: true })
      const variables = {
        FILEIO_BASE_URL: host,
        FILEIO_CA_CERT: fixturePath("ca.crt"),
        FILEIO_CLIENT_CERT: fixturePath("client.crt"),
        FILEIO_CLIENT_KEY: fixturePath("client.key"),
        FILEIO_CLIENT_KEY_PASSPHRASE: Redacted.value(PASSPHRASE),
        FILEIO_PROXY: "none",
        HTTPS_PROXY: "http://127.0.0.1:1"
      }
      const options = yield* NodeFileIo.config.parse(ConfigProvider.fromEnv({ env: variables }))
      yield* roundTrip({ ...options, apiKey }, layer)
    }).pipe(Effect.scoped, withServer))
})

describe("your own dispatcher", () => {
  it.live("is the one that is used, and stays open", () =>
    Effect.gen(function*() {
      const mock = new MockAgent()
      mock.disableNetConnect()
      mock.get("http://share.example").intercept({ path: "/me", method: "GET" }).reply(
        200,
        { success: true, status: 200, planId: 1, rateLimit: 77 },
        { headers: { "content-type": "application/json" } }
      )
      const account = yield* FileIo.FileIo.use((fileIo) => fileIo.me).pipe(
        Effect.provide(NodeFileIo.layer({
          baseUrl: "http://share.example",
          apiKey,
          allowInsecureKey: true,
          dispatcher: mock
        }))
      )
      assert.strictEqual(account.rateLimit, 77)
      yield* Effect.promise(() => mock.close())

      const agent = new Agent()
      for (let n = 0; n < 2; n++) yield* roundTrip({ baseUrl: yield* url, dispatcher: agent })
      yield* Effect.promise(() => agent.close())
    }).pipe(Effect.scoped, withServer))
})

describe("extra headers", () => {
  const asked: Array<Http.IncomingHttpHeaders> = []
  const gateway = Effect.map(
    listening(Http.createServer((request, response) => {
      asked.push(request.headers)
      request.resume()
      request.on("end", () => {
        const isAllowed = request.headers["authorization"] === "Basic YWRhOnMzY3JldC1wYXNz"
        response.writeHead(isAllowed ? 400 : 401, { "content-type": "application/json" })
        // A host may repeat what it received.
        response.end(JSON.stringify({
          success: false,
          status: 400,
          code: "BAD_REQUEST",
          message: `no: ${request.headers["authorization"]} ada:s3cret-pass ${request.headers["x-team"]}`
        }))
      })
    })),
    (server) => `http://127.0.0.1:${portOf(server)}`
  )

  it.live("are sent with every request, and are in no error", () =>
    Effect.gen(function*() {
      const baseUrl = yield* gateway
      const headers = { Authorization: Redacted.make("Basic YWRhOnMzY3JldC1wYXNz"), "X-Team": "storage" }
      const errors = yield* Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        return [
          yield* Effect.flip(fileIo.upload(FileBody.text("hello"))),
          yield* Effect.flip(fileIo.upload(FileBody.bytes(new Uint8Array(400_000)))),
          yield* Effect.flip(fileIo.downloadBytes("abcdefABCDEF"))
        ]
      }).pipe(FileIo.withRetry(RetryPolicy.none), Effect.provide(NodeFileIo.layer({ baseUrl, headers })))
      assert.strictEqual(asked.length, 3)
      for (const given of asked) {
        assert.strictEqual(given["authorization"], "Basic YWRhOnMzY3JldC1wYXNz")
        assert.strictEqual(given["x-team"], "storage")
      }
      for (const error of errors) {
        assert.strictEqual(error.reason._tag, "InvalidRequest")
        for (const secret of ["YWRhOnMzY3JldC1wYXNz", "s3cret-pass"]) {
          assert.notInclude(`${error.message} ${JSON.stringify(error)} ${error.stack}`, secret)
        }
      }
    }).pipe(Effect.scoped))

  it.live("are read from the configuration, line by line", () =>
    Effect.gen(function*() {
      const parse = (text: string) => NodeFileIo.config.parse(ConfigProvider.fromEnv({ env: { FILEIO_HEADERS: text } }))
      const { headers } = yield* parse("CF-Access-Client-Id: abc.access\r\nCF-Access-Client-Secret:  d:e f \n\n")
      assert.deepStrictEqual(
        Object.entries(headers!).map(([name, value]) => [name, Redacted.value(value as Redacted.Redacted)]),
        [["CF-Access-Client-Id", "abc.access"], ["CF-Access-Client-Secret", "d:e f"]]
      )
      const error = yield* Effect.flip(parse("s3cret"))
      assert.match(error.message, /FILEIO_HEADERS: allowed: lines of the form Name: value/)
      assert.notInclude(error.message, "s3cret")
    }))

  it.live("that the client sets itself, or that cannot be sent, are refused without their value", () =>
    Effect.gen(function*() {
      const failing = (options: NodeFileIo.Options) =>
        Effect.flip(Effect.provide(FileIo.FileIo.use((fileIo) => fileIo.me), NodeFileIo.layer(options)))
      for (
        const [headers, problem] of [
          [{ Host: "a" }, /host is set by the client itself/],
          [{ "Content-Length": "5" }, /content-length is set by the client itself/],
          [{ "a b": "c" }, /a name holds characters/],
          [{ "x-a": Redacted.make("s3cret\r\nx-b: c") }, /the value of x-a holds characters/],
          [{ authorization: "Basic s3cret" }, /authorization carries the account's key already/]
        ] as const
      ) {
        const error = yield* failing({ headers, apiKey })
        assert.match(error.message, problem)
        assert.notInclude(JSON.stringify(error), "s3cret")
      }
      const insecure = yield* failing({
        baseUrl: "http://share.example",
        headers: { "X-Token": Redacted.make("s3cret") }
      })
      assert.match(insecure.message, /the x-token would go to share\.example unencrypted/)
    }))
})

/** A limit of these clients: a reset during the handshake looks like one of an established connection. */
describe.each(
  [
    ["node:http", Layer.provide(Transport.layerHttpClient, NodeHttpClient.layerNodeHttp)],
    ["fetch", FetchFileIo.layerTransport]
  ] as const
)("over %s", (_, transport) => {
  it.live("nothing was sent where there is no connection", () =>
    Effect.gen(function*() {
      const hosts = {
        ...(yield* withoutTls),
        "a certificate that cannot be trusted": yield* secureHost(yield* url),
        "nobody": `http://127.0.0.1:${yield* freePort}`,
        "no such name": "http://nobody.invalid"
      }
      for (const [what, baseUrl] of Object.entries(hosts)) {
        const error = yield* Effect.flip(FileIo.FileIo.use((fileIo) => fileIo.upload(FileBody.text("hello")))).pipe(
          FileIo.withRetry(RetryPolicy.none),
          Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.unlimited),
          Effect.provide(Layer.provide(FileIo.layerTransport({ baseUrl }), transport))
        )
        assert.strictEqual(error.stored, what === "a reset" ? "unknown" : "no", `${what}: ${error.message}`)
      }
    }).pipe(Effect.scoped, withServer))
})
