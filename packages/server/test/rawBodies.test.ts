/** A body that is the file itself, as sent by `curl -T` and by programs without support for forms. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Path from "node:path"
import {
  anna,
  assertRefused,
  bert,
  blobs,
  call,
  eventually,
  fred,
  incoming,
  pattern,
  start,
  temporaryFolder,
  uploaded
} from "./support.ts"

const curl = (args: ReadonlyArray<string>, cwd: string, input?: Buffer): Effect.Effect<Record<string, unknown>> =>
  Effect.promise(() =>
    new Promise((resolve, reject) => {
      const child = execFile("curl", ["-sS", ...args], { cwd }, (error, stdout) => {
        if (error === null) resolve(JSON.parse(stdout) as Record<string, unknown>)
        else reject(error)
      })
      child.stdin!.end(input)
    })
  )

const assertFile = Effect.fnUntraced(function*(
  answer: Record<string, unknown>,
  name: string,
  mimeType: string,
  content: Uint8Array
) {
  assert.strictEqual(answer["success"], true, JSON.stringify(answer))
  assert.deepStrictEqual([answer["name"], answer["mimeType"], answer["size"]], [name, mimeType, content.length])
  const response = yield* Effect.promise(() => fetch(String(answer["link"])))
  assert.deepStrictEqual(new Uint8Array(yield* Effect.promise(() => response.arrayBuffer())), new Uint8Array(content))
})

const OCTETS = "application/octet-stream"

describe("A body that is the file itself", () => {
  it.effect("is stored under its name, as curl sends it", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const folder = yield* temporaryFolder
      const bytes = pattern(300_001)
      for (const name of ["photo.jpg", "README", "фото 1.jpg", "100%.txt"]) {
        Fs.writeFileSync(Path.join(folder, name), bytes)
      }
      const file = (name: string) => ["-T", name, `${url}/`]
      yield* assertFile(yield* curl(file("photo.jpg"), folder), "photo.jpg", OCTETS, bytes)
      yield* assertFile(yield* curl(file("README"), folder), "README", OCTETS, bytes)
      yield* assertFile(yield* curl(file("фото 1.jpg"), folder), "фото 1.jpg", OCTETS, bytes)
      yield* assertFile(yield* curl(file("100%.txt"), folder), "100%.txt", OCTETS, bytes)
      yield* assertFile(
        yield* curl([...file("photo.jpg"), "-u", `${anna.authorization.slice(7)}:`], folder),
        "photo.jpg",
        OCTETS,
        bytes
      )
      const typed = yield* curl([...file("photo.jpg"), "-H", "Content-Type: image/jpeg"], folder)
      yield* assertFile(typed, "photo.jpg", "image/jpeg", bytes)
      // A pipe has no size and no name.
      yield* assertFile(yield* curl(["-T", "-", `${url}/`], folder, bytes), "file", OCTETS, bytes)
      const data = ["--data-binary", "@photo.jpg", "-H", "Content-Type: image/jpeg", `${url}/`]
      yield* assertFile(yield* curl(data, folder), "file", "image/jpeg", bytes)
      const named = [...data, "-H", "Content-Disposition: attachment; filename*=UTF-8''%D1%84.jpg"]
      yield* assertFile(yield* curl(named, folder), "ф.jpg", "image/jpeg", bytes)
    }))

  it.effect("has its settings in the query", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const put = (query: string) => call(`${url}/a.txt?${query}`, { method: "PUT", body: "a" })
      const { json } = yield* put("maxDownloads=3&expires=&title=T&autoDelete=false")
      assert.deepStrictEqual(
        [json["name"], json["maxDownloads"], json["expires"], json["title"], json["autoDelete"]],
        ["a.txt", 3, null, "T", false]
      )
      assertRefused(yield* put("maxDownloads=0"), 400, "INVALID_REQUEST")
    }))

  it.effect("has a type that says what it is, or none", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const send = (type: string, headers: Record<string, string> = {}) =>
        call(`${server.url}/`, { method: "POST", headers: { "content-type": type, ...headers }, body: "{}" })
      assert.strictEqual((yield* send("text/plain; charset=utf-8")).json["name"], "text.txt")
      assert.strictEqual((yield* send("application/zip")).json["name"], "file")
      const named = { "content-disposition": "attachment; filename=\"a b.json\"" }
      assert.strictEqual((yield* send("application/json", named)).json["name"], "a b.json")
      const before = blobs(server).length
      // A program that calls an API has not sent a file.
      assertRefused(yield* send("application/json; charset=utf-8"), 415, "UNSUPPORTED_MEDIA_TYPE")
      assertRefused(yield* send("multipart/mixed; boundary=b"), 415, "UNSUPPORTED_MEDIA_TYPE")
      assertRefused(yield* send("multipart/form-data"), 400, "INVALID_REQUEST")
      assertRefused(yield* send("application/zip", { "content-encoding": "gzip" }), 415, "UNSUPPORTED_MEDIA_TYPE")
      assertRefused(yield* send("application/zip", { "content-range": "bytes 0-1/9" }), 400, "INVALID_REQUEST")
      const long = { "content-disposition": `attachment; filename=${"a".repeat(1025)}` }
      assertRefused(yield* send("application/zip", long), 400, "INVALID_REQUEST")
      assert.deepStrictEqual([blobs(server).length, incoming(server).length], [before, 0])
    }))

  it.effect("that is meant as a form and has no file is refused with a line that works", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const folder = yield* temporaryFolder
      Fs.writeFileSync(Path.join(folder, "photo.jpg"), "bytes")
      for (
        const [args, says] of [
          [["--data-binary", "@photo.jpg"], /file: it is missing/],
          [["-d", "@photo.jpg"], /file: it is missing/],
          [["-F", "file=photo.jpg"], /file: its part has no file name.*write @ before the path/],
          [["-F", "file=<photo.jpg"], /file: its part has no file name/]
        ] as const
      ) {
        const answer = yield* curl([...args, `${url}/`], folder)
        assert.strictEqual(answer["code"], "INVALID_REQUEST")
        assert.match(String(answer["message"]), says)
        assert.include(String(answer["message"]), `this uploads a file: curl -F file=@FILE ${url}/`)
      }
      // Empty, it is what a browser sends where nothing was chosen.
      const chosen = yield* curl(["-F", "file=", "-F", "text=see you", `${url}/`], folder)
      assert.strictEqual(chosen["name"], "text.txt")
    }))

  it.effect("replaces the content of a file whose key is the path, and keeps the name", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const file = yield* uploaded(url, "old", {
        headers: anna,
        name: "a.txt",
        fields: { title: "T", maxDownloads: "5" }
      })
      const at = `${url}/${file.key}`
      const patched = yield* call(at, { method: "PATCH", headers: anna, body: "new" })
      assert.deepStrictEqual([patched.json["name"], patched.json["title"], patched.json["size"]], ["a.txt", "T", 3])
      const replaced = yield* call(`${at}?maxDownloads=2`, {
        method: "PUT",
        headers: { ...anna, "content-disposition": "attachment; filename=b.txt" },
        body: "newer"
      })
      assert.deepStrictEqual(
        [replaced.json["name"], replaced.json["title"], replaced.json["maxDownloads"], replaced.json.key],
        ["b.txt", null, 2, file.key]
      )
      assert.strictEqual((yield* call(at)).text, "newer")
      // A possible key of this server is never taken for a name.
      const other = { method: "PUT", body: "other" }
      assertRefused(yield* call(at, other), 401, "UNAUTHORIZED")
      assertRefused(yield* call(at, { ...other, headers: bert }), 404, "FILE_NOT_FOUND")
      assertRefused(yield* call(`${url}/abcdefghijkl`, { ...other, headers: anna }), 404, "FILE_NOT_FOUND")
      // Without bytes there is no new file that a shorter key could name.
      assertRefused(yield* call(`${url}/abcde`, { method: "PUT", headers: anna }), 404, "FILE_NOT_FOUND")
    }))

  it.effect("has the plan's limits, and leaves nothing when it breaks", () =>
    Effect.gen(function*() {
      const server = yield* start({ plans: { free: { rateLimit: null, maxUploadBytes: 1_000_000 } } })
      const put = (body: Buffer<ArrayBuffer>, headers: Record<string, string> = {}) =>
        call(`${server.url}/a.bin`, { method: "PUT", headers: { ...fred, ...headers }, body })
      assert.strictEqual((yield* put(pattern(1_000_000))).status, 200)
      assertRefused(yield* put(pattern(1_000_001)), 413, "PAYLOAD_TOO_LARGE")
      assertRefused(yield* put(pattern(0)), 400, "INVALID_REQUEST")
      const request = Http.request(`${server.url}/b.bin`, { method: "PUT", headers: { "content-length": 9_000_000 } })
      request.on("error", () => {})
      request.write(pattern(2_000_000))
      yield* eventually("bytes arrive on the disk", () => incoming(server).length === 1)
      request.destroy()
      yield* eventually("they are removed", () => incoming(server).length === 0)
      assert.strictEqual(blobs(server).length, 1)
    }))
})
