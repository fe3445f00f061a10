import { FileIoApi } from "@effect-fileio/core"
import { ErrorEnvelope } from "@effect-fileio/core/ErrorEnvelope"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { OpenApi } from "effect/http-api"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as Refusal from "../src/internal/http/refusal.ts"
import { anna, assertRefused, call, large, start, uploaded } from "./support.ts"

describe("every refusal", () => {
  it.effect("is the contract's envelope: routes, methods and keys that do not exist", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      for (
        const [method, path, status, code] of [
          ["GET", "/no/such/route", 404, "NOT_FOUND"],
          ["POST", "/abcdefghijkl/x", 404, "NOT_FOUND"],
          ["GET", "/abcdefghijkl", 404, "FILE_NOT_FOUND"],
          ["GET", "/..%2f..%2fetc%2fpasswd", 404, "FILE_NOT_FOUND"],
          ["GET", "/%00", 404, "FILE_NOT_FOUND"],
          ["GET", "/favicon.ico", 404, "FILE_NOT_FOUND"],
          ["DELETE", "/abcdefghijkl", 404, "FILE_NOT_FOUND"],
          ["PATCH", "/x", 404, "FILE_NOT_FOUND"],
          ["POST", "/abcdefghijkl", 405, "METHOD_NOT_ALLOWED"],
          ["POST", "/me", 405, "METHOD_NOT_ALLOWED"],
          ["DELETE", "/", 405, "METHOD_NOT_ALLOWED"],
          ["PUT", "/", 400, "INVALID_REQUEST"],
          ["PUT", "/me", 405, "METHOD_NOT_ALLOWED"],
          ["OPTIONS", "/me", 405, "METHOD_NOT_ALLOWED"],
          ["POST", "/download/abcdefghijkl", 405, "METHOD_NOT_ALLOWED"]
        ] as const
      ) {
        const answer = yield* call(`${url}${path}`, { method, headers: anna })
        assertRefused(answer, status, code)
        assert.strictEqual(answer.json["help"], `${url}/developers#${code}`)
        assert.isTrue(Schema.is(ErrorEnvelope)(Schema.decodeUnknownSync(ErrorEnvelope)(answer.json)))
        if (status === 405) {
          assert.isFalse(answer.headers.get("allow")!.split(", ").includes(method), `${method} ${path}`)
        }
      }
      assert.strictEqual(
        (yield* call(`${url}/`, { method: "DELETE" })).headers.get("allow"),
        "POST, GET, HEAD, PUT, OPTIONS"
      )
    }))

  it.effect("leads to a page that explains its code", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ publicUrl: "https://share.example/files/" })
      const answer = yield* call(`${url}/abcdefghijkl`)
      assert.strictEqual(answer.json["help"], "https://share.example/files/developers#FILE_NOT_FOUND")
      const text = (yield* call(`${url}/developers`)).text.replaceAll("<wbr>", "")
      for (const code of Object.keys(Refusal.CODES)) assert.include(text, `<tr id="${code}"><td><code>${code}</code>`)
    }))

  it.effect("of what may have been meant as an upload has a command that uploads", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const json = { "content-type": "application/json" }
      const form = { "content-type": "application/x-www-form-urlencoded" }
      for (
        const [method, path, headers, status] of [
          ["PUT", "/abcdefghijkl", {}, 401],
          ["PUT", "/me", anna, 405],
          ["PUT", "/a/photo.jpg", {}, 404],
          ["POST", "/photo.jpg", {}, 404],
          ["POST", "/upload", {}, 405],
          ["POST", "/", json, 415],
          ["POST", "/", form, 400],
          ["PATCH", "/abcdefghijkl", anna, 404],
          ["GET", "/me", {}, 401]
        ] as const
      ) {
        const answer = yield* call(`${url}${path}`, { method, headers, ...(method === "GET" ? {} : { body: "bytes" }) })
        assert.strictEqual(answer.status, status)
        const line = `; this uploads a file: curl -F file=@FILE ${url}/`
        assert.strictEqual(
          String(answer.json["message"]).endsWith(line),
          method === "POST" || method === "PUT",
          answer.text
        )
      }
    }))

  it.effect("is the response to an ambiguous request", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const talk = (fields: string) =>
        Effect.promise(() =>
          new Promise<string>((resolve, reject) => {
            let answer = ""
            const socket = Net.connect(Number(new URL(url).port), "127.0.0.1", () =>
              socket.write(`GET /me HTTP/1.1\r\n${fields}Connection: close\r\n\r\n`))
            socket.on("data", (chunk) =>
              answer += String(chunk))
            socket.on("error", reject)
            socket.on("close", () =>
              resolve(answer))
          })
        )
      const key = `Authorization: ${anna.authorization}\r\n`
      assert.match(yield* talk(`Host: a\r\n${key}`), /^HTTP\/1.1 200 /)
      for (
        const [fields, name] of [
          [`Host: a\r\nHost: b\r\n${key}`, "Host"],
          [`Host: a\r\nhost: a\r\n${key}`, "Host"],
          [`Host: a\r\n${key}${key}`, "Authorization"],
          [`Host: a\r\n${key}Content-Type: a/b\r\nContent-Type: c/d\r\n`, "Content-Type"]
        ] as const
      ) {
        const answer = yield* talk(fields)
        assert.match(answer, /^HTTP\/1.1 400 /)
        assert.include(answer, `The request has more than one ${name} field; send one`)
      }
    }))

  it.effect("of HEAD has the status and no body", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      for (const [path, status] of [["/abcdefghijkl", 404], ["/no/route", 404], ["/me", 401]] as const) {
        const answer = yield* call(`${url}${path}`, { method: "HEAD" })
        assert.strictEqual(answer.status, status, path)
        assert.strictEqual(answer.text, "")
      }
      assert.strictEqual((yield* call(`${url}/me`, { method: "HEAD", headers: anna })).status, 200)
    }))

  it.effect("is the contract's envelope: what is not HTTP, and headers that are too large", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const talk = (text: string) =>
        Effect.promise(() =>
          new Promise<string>((resolve, reject) => {
            let answer = ""
            const socket = Net.connect(Number(new URL(url).port), "127.0.0.1", () => socket.write(text))
            socket.on("data", (chunk) => answer += String(chunk))
            socket.on("error", reject)
            socket.on("close", () => resolve(answer))
          })
        )
      for (
        const [text, status] of [
          ["this is not HTTP\r\n\r\n", 400],
          [`GET / HTTP/1.1\r\nHost: x\r\nX: ${"y".repeat(40_000)}\r\n\r\n`, 431]
        ] as const
      ) {
        const [head, body] = (yield* talk(text)).split("\r\n\r\n")
        assert.isTrue(head!.startsWith(`HTTP/1.1 ${status} `), head)
        assert.strictEqual(Schema.decodeUnknownSync(ErrorEnvelope)(JSON.parse(body!)).status, status)
      }
    }))

  it.effect("for a fault of the host reveals no internals, and the file stays", () =>
    Effect.gen(function*() {
      const server = yield* start({ grace: 0 })
      const { key } = yield* uploaded(server.url, large("x"))
      const blobs = Path.join(server.folder, "blobs")
      const [blob] = Fs.readdirSync(blobs)
      Fs.renameSync(Path.join(blobs, blob!), Path.join(server.folder, "away"))
      const failed = yield* call(`${server.url}/${key}`)
      assertRefused(failed, 500, "INTERNAL_ERROR")
      assert.notInclude(failed.text, server.folder)
      assert.notInclude(failed.text, blob!)
      assert.notInclude(failed.text, "ENOENT")
      Fs.renameSync(Path.join(server.folder, "away"), Path.join(blobs, blob!))
      assert.strictEqual((yield* call(`${server.url}/${key}`)).text, large("x"))
    }))
})

describe("the declaration", () => {
  it("has the seven calls of the contract, and an OpenAPI description", () => {
    const spec = OpenApi.fromApi(FileIoApi.FileIoApi)
    const calls = Object.entries(spec.paths).flatMap(([path, item]) =>
      Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`)
    )
    assert.deepStrictEqual(calls.toSorted(), [
      "DELETE /{key}",
      "GET /",
      "GET /me",
      "GET /{key}",
      "PATCH /{key}",
      "POST /",
      "PUT /{key}"
    ])
    assert.sameMembers(Object.keys(spec.components.securitySchemes), ["bearer", "basic"])
    const upload = spec.paths["/"]!.post!
    assert.sameMembers(Object.keys(upload.requestBody!.content), [
      "multipart/form-data",
      "application/x-www-form-urlencoded",
      "application/octet-stream"
    ])
    assert.sameMembers(Object.keys(upload.responses), ["200", "400", "401", "402", "413", "415", "429", "500", "507"])
    assert.isTrue("423" in spec.paths["/{key}"]!.get!.responses)
  })
})
