/** The program in ordinary networks: a proxy with a password, a private certificate authority, client certificates, headers. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted, type Scope } from "effect"
import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs"
import * as Http from "node:http"
import { join } from "node:path"
import {
  fixturePath,
  freePort,
  hasTinyproxy,
  listening,
  PASSPHRASE,
  portOf,
  proxy,
  secureHost,
  unixHost
} from "../../platform-node/test/network.ts"
import { jsonLines, setUp } from "./support.ts"

const t = setUp()
const CONTENT = "hello through the network\n"
const CA = fixturePath("ca.crt")

const scoped = <A, E>(test: Effect.Effect<A, E, Scope.Scope>) => () => Effect.scoped(test)

/** Each test runs the program several times, and some wait for its retries. */
const LONG = 90_000

const run = (args: ReadonlyArray<string>, env: Record<string, string | undefined>) =>
  Effect.promise(() => t.run(args, { env }))

/** Uploads and downloads a file. */
const roundTrip = Effect.fnUntraced(function*(
  env: Record<string, string | undefined>,
  flags: ReadonlyArray<string> = []
) {
  const room = t.room()
  writeFileSync(join(room, "a.txt"), CONTENT)
  const sent = yield* run(["upload", join(room, "a.txt"), ...flags], env)
  assert.strictEqual(sent.stderr, "")
  const key = sent.stdout.trim().split("/").at(-1)!
  const received = yield* run(["download", key, "-o", "-", ...flags], env)
  assert.strictEqual(received.stdout, CONTENT, received.stderr)
})

/** Expects a failure that says that nothing was stored; returns its two lines. */
const notSent = Effect.fnUntraced(function*(
  env: Record<string, string | undefined>,
  flags: ReadonlyArray<string> = []
) {
  const file = join(t.room(), "a.txt")
  writeFileSync(file, CONTENT)
  const ran = yield* run(["upload", file, ...flags], env)
  assert.strictEqual(ran.code, 7, ran.stderr)
  assert.include(ran.stderr, "Nothing was stored on the host.")
  assert.notInclude(ran.stderr, "s3cret")
  return ran.stderr
})

describe.skipIf(!hasTinyproxy)("a proxy with a password", () => {
  it.live(
    "is found in the environment, in the settings and by --proxy",
    scoped(Effect.gen(function*() {
      const { asked, url } = yield* proxy
      const secure = yield* secureHost(t.url())
      const config = join(t.room(), "config.json")
      const ways: ReadonlyArray<readonly [env: Record<string, string>, flags: ReadonlyArray<string>]> = [
        [{ HTTPS_PROXY: url }, []],
        [{ https_proxy: url }, []],
        [{ FILEIO_PROXY: url, HTTPS_PROXY: "http://127.0.0.1:1" }, []],
        [{ HTTPS_PROXY: "http://127.0.0.1:1" }, ["--proxy", url]]
      ]
      for (const [env, flags] of ways) {
        const before = asked().length
        yield* roundTrip({ FILEIO_BASE_URL: secure, FILEIO_CA_CERT: CA, ...env }, flags)
        assert.include(asked().slice(before), `CONNECT ${new URL(secure).host}`)
      }
      const before = asked().length
      yield* roundTrip({ HTTP_PROXY: url })
      assert.isAbove(asked().length, before)

      const env = { FILEIO_BASE_URL: undefined, FILEIO_CONFIG: config }
      for (const [name, value] of [["base-url", secure], ["ca-cert", CA], ["proxy", url]] as const) {
        const stored = yield* run(["config", "set", name, value], env)
        assert.strictEqual(stored.code, 0, stored.stderr)
      }
      yield* roundTrip(env)
      const shown = yield* run(["config"], env)
      assert.include(shown.stdout, `http://<redacted>@127.0.0.1`)
      assert.include(shown.stdout, CA)
      assert.notInclude(shown.stdout, "s3cret")
      assert.strictEqual(statSync(config).mode & 0o777, 0o600)
      chmodSync(config, 0o644)
      assert.include((yield* run(["config"], env)).stderr, "holds a secret and can be read by others")
    })),
    LONG
  )

  it.live(
    "is not used for hosts of NO_PROXY and with --proxy none",
    scoped(Effect.gen(function*() {
      const { asked, url } = yield* proxy
      yield* roundTrip({ HTTP_PROXY: url, NO_PROXY: "127.0.0.1" })
      yield* roundTrip({ HTTP_PROXY: url }, ["--proxy", "none"])
      assert.deepStrictEqual(asked(), [])
    })),
    LONG
  )

  it.live(
    "that refuses is named, with what to do",
    scoped(Effect.gen(function*() {
      const { bare } = yield* proxy
      for (const host of [yield* secureHost(t.url()), t.url()]) {
        const said = yield* notSent({ FILEIO_BASE_URL: host, HTTPS_PROXY: bare, HTTP_PROXY: bare })
        assert.match(said, /the proxy 127\.0\.0\.1:\d+ wants another user and password, or any \(ERR_PROXY_407\)/)
        assert.include(said, "HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT")
      }
    })),
    LONG
  )
})

describe("a proxy that is dead", () => {
  it.live(
    "is named, and nothing was stored or taken",
    scoped(Effect.gen(function*() {
      const env = { HTTP_PROXY: `http://ada:s3cret@127.0.0.1:${yield* freePort}` }
      assert.match(
        yield* notSent(env),
        /cannot connect to 127\.0\.0\.1:\d+ through the proxy 127\.0\.0\.1:\d+ \(ECONNREFUSED\)/
      )
      const [line] = jsonLines((yield* run(["download", "abcdefABCDEF", "--json"], env)).stdout)
      assert(line?.type === "error")
      assert.strictEqual(line.copy, "kept")
      assert.strictEqual(line.exitCode, 7)
    })),
    LONG
  )
})

describe("certificates", () => {
  it.live(
    "of a private authority are trusted with --cacert, and the error says so",
    scoped(Effect.gen(function*() {
      const secure = yield* secureHost(t.url())
      yield* roundTrip({ FILEIO_BASE_URL: secure }, ["--cacert", CA])
      yield* roundTrip({ FILEIO_BASE_URL: secure, NODE_EXTRA_CA_CERTS: CA })
      const said = yield* notSent({ FILEIO_BASE_URL: secure })
      assert.match(said, /the certificate of localhost:\d+ cannot be trusted \(\w+\)/)
      assert.include(said, "--cacert FILE, FILEIO_CA_CERT or NODE_EXTRA_CA_CERTS")
      const wrong = yield* run(["me", "--cacert", "/nowhere/ca.pem"], { FILEIO_BASE_URL: secure })
      assert.strictEqual(wrong.code, 2)
      assert.include(wrong.stderr, "invalid --cacert: cannot read /nowhere/ca.pem (ENOENT)")
    })),
    LONG
  )

  it.live(
    "of a client are sent by flags, variables and settings",
    scoped(Effect.gen(function*() {
      const secure = yield* secureHost(t.url(), { wantsCertificate: true })
      const env = {
        FILEIO_BASE_URL: secure,
        FILEIO_CA_CERT: CA,
        FILEIO_CLIENT_KEY_PASSPHRASE: Redacted.value(PASSPHRASE)
      }
      const [cert, key] = [fixturePath("client.crt"), fixturePath("client.key")]
      yield* roundTrip(env, ["--cert", cert, "--cert-key", key])
      yield* roundTrip({ ...env, FILEIO_CLIENT_CERT: cert, FILEIO_CLIENT_KEY: key })
      const config = { ...env, FILEIO_CONFIG: join(t.room(), "config.json") }
      yield* run(["config", "set", "client-cert", cert], config)
      yield* run(["config", "set", "client-key", key], config)
      yield* roundTrip(config)
      assert.include(yield* notSent(env), "--cert FILE and --cert-key FILE")
      yield* run(["config", "unset", "client-key"], config)
      assert.deepStrictEqual(JSON.parse(readFileSync(config.FILEIO_CONFIG, "utf8")), {
        hosts: { [secure]: { clientCert: cert } }
      })
    })),
    LONG
  )
})

it.live(
  "a host that speaks no TLS at its port is named, with the address to try",
  scoped(Effect.gen(function*() {
    const said = yield* notSent({ FILEIO_BASE_URL: t.url().replace("http:", "https:") })
    assert.match(said, /127\.0\.0\.1:\d+ does not speak TLS at this port \(ERR_SSL_\w+\)/)
    assert.include(said, "begin its address with http://")
  })),
  LONG
)

it.live(
  "file.io itself has ended: its silence and its page both name the ways on",
  scoped(Effect.gen(function*() {
    const path = join(t.room(), "s")
    // A socket in place of file.io, so that no packet leaves this machine.
    const env = { FILEIO_BASE_URL: "http://file.io", FILEIO_SOCKET_PATH: path, FILEIO_API_KEY: undefined }
    const silent = yield* notSent(env)
    assert.include(silent, "cannot connect to file.io (ENOENT)")
    yield* listening(
      Http.createServer((_, response) => response.writeHead(200, { "content-type": "text/html" }).end("<p>bye</p>")),
      path
    )
    const page = yield* run(["download", "abcdefABCDEF", "-o", "-"], env)
    // A download that got a page cannot know whether it took the file.
    assert.strictEqual(page.code, 9, page.stderr)
    for (const said of [silent, page.stderr]) {
      assert.include(
        said,
        "Its service ended in 2026. Run a host, \"fileio serve\", and name it: --base-url, FILEIO_BASE_URL"
      )
    }
  })),
  LONG
)

it.live(
  "a unix socket takes the place of the host",
  scoped(Effect.gen(function*() {
    const path = join(t.room(), "s")
    yield* unixHost(t.url(), path)
    yield* roundTrip({ FILEIO_BASE_URL: "http://share.localhost" }, ["--unix-socket", path])
    yield* roundTrip({ FILEIO_BASE_URL: "http://share.localhost", FILEIO_SOCKET_PATH: path })
  })),
  LONG
)

describe("headers", () => {
  /** A host that identifies callers by a header alone, and records it. */
  const gateway = Effect.gen(function*() {
    const asked: Array<Http.IncomingHttpHeaders> = []
    const server = yield* listening(Http.createServer((request, response) => {
      asked.push(request.headers)
      request.resume().on("end", () => {
        const isAllowed = request.headers["cf-access-client-secret"] === "s3cret-token"
        response.writeHead(isAllowed ? 404 : 403, { "content-type": "application/json" })
        response.end(
          JSON.stringify({ success: false, status: 404, code: "FILE_NOT_FOUND", message: "no s3cret-token" })
        )
      })
    }))
    return { asked, url: `http://127.0.0.1:${portOf(server)}` }
  })

  it.live(
    "are sent to the configured host, and to no other",
    scoped(Effect.gen(function*() {
      const host = yield* gateway
      const other = yield* gateway
      const file = join(t.room(), "headers")
      writeFileSync(file, "CF-Access-Client-Id: me\r\nCF-Access-Client-Secret: s3cret-token\n")
      const config = { FILEIO_CONFIG: join(t.room(), "config.json") }
      const ways: ReadonlyArray<readonly [env: Record<string, string>, flags: ReadonlyArray<string>]> = [
        [{}, ["--header", `@${file}`]],
        [{}, ["--header", "CF-Access-Client-Id: me", "--header", "CF-Access-Client-Secret: s3cret-token"]],
        [{ FILEIO_HEADERS: readFileSync(file, "utf8") }, []],
        [config, []]
      ]
      const env = { FILEIO_BASE_URL: host.url, FILEIO_API_KEY: undefined }
      assert.strictEqual((yield* run(["config", "set", "header-file", file], { ...env, ...config })).code, 0)
      for (const [more, flags] of ways) {
        const ran = yield* run(["download", "abcdefABCDEF", "-o", "-", "--verbose", ...flags], { ...env, ...more })
        assert.strictEqual(ran.code, 3, ran.stderr)
        assert.notInclude(ran.stderr, "s3cret")
        assert.strictEqual(host.asked.at(-1)?.["cf-access-client-id"], "me")
        yield* run(["download", `${other.url}/abcdefABCDEF`, "-o", "-", ...flags], { ...env, ...more })
        assert.isUndefined(other.asked.at(-1)?.["cf-access-client-id"])
      }
      assert.strictEqual(other.asked.length, ways.length)
    })),
    LONG
  )

  it.live(
    "and a unix socket are shown by config with all their sources, without their values",
    scoped(Effect.gen(function*() {
      const file = join(t.room(), "headers")
      writeFileSync(file, "X-Stored: s3cret\n")
      const env = {
        FILEIO_CONFIG: join(t.room(), "config.json"),
        FILEIO_HEADERS: "X-Variable: s3cret",
        FILEIO_SOCKET_PATH: "/run/fileio.sock"
      }
      yield* run(["config", "set", "header-file", file], env)
      const shown = yield* run(["config", "--header", "X-Flag: s3cret"], env)
      const rows = shown.stdout.split("\n").map((line) => line.split(/ {2,}/))
      assert.deepStrictEqual(rows.filter(([name]) => name === "header-file" || name === "unix-socket"), [
        ["header-file", "set", "(flag)"],
        ["header-file", "set", "(variable)"],
        ["header-file", file, "(file)"],
        ["unix-socket", "/run/fileio.sock", "(variable)"]
      ])
      assert.notInclude(shown.stdout, "s3cret")
    })),
    LONG
  )

  it.live(
    "that cannot be read are refused without their value",
    scoped(Effect.gen(function*() {
      for (
        const [flag, expected] of [
          ["s3cret", "the headers of --header cannot be read"],
          ["@/nowhere/headers", "cannot read the headers in /nowhere/headers"],
          ["Host: s3cret", "host is set by the client itself"]
        ] as const
      ) {
        const ran = yield* run(["me", "--header", flag], {})
        assert.include(ran.stderr, expected)
        assert.notInclude(ran.stderr, "s3cret")
      }
    })),
    LONG
  )
})
