/** Addresses in the server's responses, and the hosts that it accepts. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Http from "node:http"
import { networkInterfaces } from "node:os"
import * as FileIoServer from "../src/FileIoServer.ts"
import type * as ServerOptions from "../src/ServerOptions.ts"
import { anna, start } from "./support.ts"

interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly text: string
}

/** `fetch` sets `Host` by itself. */
const send = (url: string, options: Http.RequestOptions, body = "") =>
  Effect.promise(() =>
    new Promise<Answer>((resolve, reject) => {
      const request = Http.request(url, options, (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (chunk: string) => text += chunk)
        response.on("end", () => resolve({ status: response.statusCode!, headers: response.headers, text }))
      })
      request.on("error", reject)
      request.end(body)
    })
  )

const put = (url: string, headers: Record<string, string>) => send(`${url}/a.txt`, { method: "PUT", headers }, "a")

const linkBase = (url: string, headers: Record<string, string>) =>
  Effect.map(put(url, headers), ({ text }) => String((JSON.parse(text) as { link: string }).link).replace(/\/\w+$/, ""))

describe("the address in a link", () => {
  it.effect("is that by which the request came", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      for (const host of ["share.example", "Share.Example:8080", "10.1.2.3:80", "[2001:db8::1]:8080", "my_box.local"]) {
        assert.strictEqual(yield* linkBase(url, { host }), `http://${host.toLowerCase()}`)
      }
      // An invalid host is not repeated.
      for (const host of ["", "a b", "evil.example/x", "u@evil.example", "x\"><script>", "a:99999999"]) {
        assert.strictEqual(yield* linkBase(url, { host }), url)
      }
      // A stranger's header is not trusted.
      const strange = { host: "a.example", "x-forwarded-host": "b.example", "x-forwarded-proto": "https" }
      assert.strictEqual(yield* linkBase(url, strange), "http://a.example")
    }))

  it.effect("is that of the trusted proxy, unless the operator gives one", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ trustedProxies: ["127.0.0.1"] })
      const https = { "x-forwarded-proto": "https" }
      assert.strictEqual(yield* linkBase(url, { host: "a.example", ...https }), "https://a.example")
      const named = { host: "upstream:1", "x-forwarded-host": "inner.example, b.example:444", ...https }
      assert.strictEqual(yield* linkBase(url, named), "https://b.example:444")
      const fixed = yield* start({ trustedProxies: ["127.0.0.1"], publicUrl: "https://files.example/x" })
      assert.strictEqual(yield* linkBase(fixed.url, named), "https://files.example/x")
    }))

  it.effect("is the same in lists, pages, helps and the description of the API", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const headers = { host: "share.example" }
      const browser = { ...headers, accept: "text/html" }
      const { text } = yield* put(url, { ...headers, ...anna })
      const { key } = JSON.parse(text) as { key: string }
      const get = (path: string, headers: Record<string, string>) => send(`${url}${path}`, { headers })
      const list = JSON.parse((yield* get("/", { ...headers, ...anna })).text) as { nodes: Array<{ link: string }> }
      assert.strictEqual(list.nodes[0]!.link, `http://share.example/${key}`)
      assert.include((yield* get("/abcdefghijkl", headers)).text, "http://share.example/developers#FILE_NOT_FOUND")
      for (const path of ["/", `/uploaded/${key}`, "/developers"]) {
        const page = yield* get(path, browser)
        assert.strictEqual(page.status, 200)
        assert.include(page.text, "http://share.example/")
        assert.notInclude(page.text, "base.invalid")
        assert.notInclude(page.text, "127.0.0.1")
      }
      const description = JSON.parse((yield* get("/openapi.json", headers)).text) as { servers: Array<{ url: string }> }
      assert.deepStrictEqual(description.servers, [{ url: "http://share.example" }])
      const free = yield* put(url, headers)
      const other = JSON.parse(free.text) as { key: string }
      const { headers: { location }, status } = yield* get(`/${other.key}`, {
        ...browser,
        "user-agent": "Twitterbot/1.0"
      })
      assert.deepStrictEqual([status, location], [302, `http://share.example/download/${other.key}`])
    }))
})

describe("the hosts that a server answers for", () => {
  it.effect("are those that the operator allows", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ allowedHosts: ["Share.example", "10.0.0.5:8080"] })
      const ask = (host: string) =>
        Effect.map(send(`${url}/openapi.json`, { headers: { host } }), ({ status, text }) => {
          if (status !== 200) assert.strictEqual((JSON.parse(text) as { code: string }).code, "HOST_NOT_ALLOWED")
          return status
        })
      for (const host of ["share.example", "SHARE.EXAMPLE:8080", "10.0.0.5:8080"]) {
        assert.strictEqual(yield* ask(host), 200)
      }
      for (const host of ["evil.example", "10.0.0.5", "10.0.0.5:80", "127.0.0.1", "x.share.example", ""]) {
        assert.strictEqual(yield* ask(host), 421)
      }
      // Nothing is stored for another host.
      assert.strictEqual((yield* put(url, { host: "evil.example" })).status, 421)
    }))
})

describe("a server on all addresses", () => {
  const serverOf = (options: ServerOptions.TemporaryOptions) =>
    Effect.flatMap(
      Layer.build(FileIoServer.layerTemporary(options)),
      (context) => FileIoServer.FileIoServer.pipe(Effect.provide(context))
    )

  it.effect("reports those that others can use", () =>
    Effect.gen(function*() {
      const { port, url, urls } = yield* serverOf({ host: "0.0.0.0" })
      assert.strictEqual(url, `http://127.0.0.1:${port}`)
      const others = Object.values(networkInterfaces()).flatMap((all = []) => all)
        .filter(({ family, internal }) => family === "IPv4" && !internal)
      assert.deepStrictEqual(urls, [url, ...others.map(({ address }) => `http://${address}:${port}`)])
      for (const each of urls) assert.strictEqual(yield* linkBase(each, {}), each)
      const one = yield* serverOf({ host: "127.0.0.1" })
      assert.deepStrictEqual(one.urls, [one.url])
    }))
})
