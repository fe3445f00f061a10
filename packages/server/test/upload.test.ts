import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Path from "node:path"
import { promisify } from "node:util"
import {
  anna,
  type Answer,
  assertRefused,
  blobs,
  call,
  eventually,
  FRED,
  fred,
  incoming,
  pattern,
  sendParts,
  start,
  temporaryFolder,
  upload,
  uploaded
} from "./support.ts"

const DAY = 24 * 60 * 60 * 1000

const disposition = (rest: string) => `Content-Disposition: form-data; ${rest}`

const lifetime = (file: Answer["json"]) => Date.parse(String(file["expires"])) - Date.parse(String(file["created"]))

/** A request whose body is written piece by piece. */
const openUpload = (url: string, boundary: string, headers: Record<string, string> = {}) => {
  const request = Http.request(url, {
    method: "POST",
    agent: false,
    headers: { "content-type": `multipart/form-data; boundary=${boundary}`, ...headers }
  })
  const answered = new Promise<{ status: number; json: Record<string, unknown> }>((resolve, reject) => {
    request.on("error", reject)
    request.on("response", (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on("error", reject)
      response.on(
        "end",
        () => resolve({ status: response.statusCode!, json: JSON.parse(String(Buffer.concat(chunks))) })
      )
    })
  })
  return { request, answered }
}

const hasCurl = spawnSync("curl", ["--version"]).status === 0
if (!hasCurl) console.warn("SKIPPED: an upload by curl; there is no curl")

/** Outside the server, which runs in this process. */
const curl = (...args: ReadonlyArray<string>) =>
  Effect.promise(async () => (await promisify(execFile)("curl", ["-sS", ...args])).stdout)

const filePart = (boundary: string) =>
  `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n\r\n`

describe("an upload", () => {
  it.effect("returns every field of the contract, with the contract's defaults", () =>
    Effect.gen(function*() {
      const server = yield* start({ anonymousPlan: "free" })
      const { json: file } = yield* upload(server.url, "content", { name: "a b.txt" })
      assert.match(file.key, /^[A-Za-z0-9]{12}$/)
      assert.match(String(file["id"]), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
      assert.match(String(file["created"]), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      assert.strictEqual(lifetime(file), 14 * DAY)
      assert.match(String(file["deleteToken"]), /^[A-Za-z0-9_-]{32}$/)
      const varied = { id: "", key: "", link: "", created: "", modified: "", expires: "", deleteToken: "" }
      assert.deepStrictEqual({ ...file, ...varied }, {
        success: true,
        status: 200,
        id: "",
        key: "",
        path: "/",
        nodeType: "file",
        name: "a b.txt",
        title: null,
        description: null,
        size: 7,
        link: "",
        private: false,
        expires: "",
        downloads: 0,
        maxDownloads: 1,
        attempts: 0,
        lastAttempt: null,
        countFrom: "last-byte",
        autoDelete: true,
        planId: 0,
        screeningStatus: "passed",
        mimeType: "application/octet-stream",
        created: "",
        modified: "",
        deleteToken: ""
      } as never)
      assert.strictEqual(file["link"], `${server.url}/${file.key}`)
    }))

  it.effect("takes settings as fields before and after the file, and as query parameters that fields override", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const file = [disposition("name=\"file\"; filename=\"x.txt\""), "Content-Type: text/plain"]
      const field = (name: string, value: string) => [[disposition(`name="${name}"`)], value] as const
      const after = yield* sendParts(`${url}/?expires=1h&title=query&maxDownloads=9`, [
        [file, "x"],
        field("expires", "1w"),
        field("maxDownloads", "3")
      ])
      assert.strictEqual(lifetime(after.json), 7 * DAY)
      assert.strictEqual(after.json["maxDownloads"], 3)
      assert.strictEqual(after.json["title"], "query")
      const before = yield* sendParts(url, [field("autoDelete", "false"), field("expires", ""), [file, "x"]])
      assert.strictEqual(before.json["autoDelete"], false)
      assert.isNull(before.json["expires"])
      assert.strictEqual(before.json["mimeType"], "text/plain")
      const never = yield* sendParts(`${url}/?maxDownloads=&expires=`, [[file, "x"]])
      assert.isNull(never.json["maxDownloads"])
      assert.isNull(never.json["expires"])
    }))

  it.effect("takes the first part with a file name as the file, whatever it is called and of whatever type", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      for (
        const [headers, type] of [
          [[disposition("name=\"\"; filename=\"a\"")], "application/octet-stream"],
          [[disposition("name=\"upload\"; filename=\"a\""), "Content-Type: application/json"], "application/json"],
          [[disposition("name=\"file\"; filename=\"a\""), "Content-Type:"], "application/octet-stream"],
          [[disposition("filename=\"a\"; name=file"), "Content-Type: text/plain; charset=utf-8"], "text/plain"],
          [[disposition("name=\"expires\"; filename=\"a\"")], "application/octet-stream"]
        ] as const
      ) {
        const content = "{\"json\": true}"
        const answer = yield* sendParts(url, [
          [[disposition("name=\"note\"")], "ignored"],
          [headers, content],
          [[disposition("name=\"other\"; filename=\"\"")], ""]
        ])
        assert.strictEqual(answer.status, 200, answer.text)
        assert.strictEqual(answer.json["name"], "a")
        assert.strictEqual(answer.json["mimeType"], type)
        assert.strictEqual((yield* call(`${url}/${answer.json.key}`)).text, content)
      }
    }))

  it.effect("of several files, or of a file and a text, is refused: what was dropped would be taken for stored", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const file = (name: string, content: string) =>
        [[disposition(`name="file"; filename="${name}"`)], content] as const
      const text = (content: string) => [[disposition("name=\"text\"")], content] as const
      for (
        const parts of [
          [file("a", "x"), file("b", "y")],
          [file("a", "x"), file("b", "")],
          [file("a", "x"), file("", "y")],
          [file("", "x"), file("b", "y")],
          [file("", "x"), file("", "y")],
          [file("a", "x"), text("y")],
          [text("y"), file("a", "x")],
          [text("y"), file("", "x")]
        ]
      ) {
        const answer = yield* sendParts(server.url, parts)
        assertRefused(answer, 400, "INVALID_REQUEST")
        assert.match(String(answer.json["message"]), /^file: there is more than one file or text/)
      }
      assert.deepStrictEqual([...blobs(server), ...incoming(server)], [])
      // As a browser sends a form whose other inputs were left empty.
      for (
        const [parts, name, content] of [
          [[file("", ""), file("b", "y"), text("")], "b", "y"],
          [[file("a", "x"), file("", ""), text("")], "a", "x"],
          [[file("", ""), text("y")], "text.txt", "y"],
          [[text("y"), file("", "")], "text.txt", "y"]
        ] as const
      ) {
        const answer = yield* sendParts(server.url, parts)
        assert.strictEqual(answer.json["name"], name, answer.text)
        assert.strictEqual((yield* call(`${server.url}/${answer.json.key}`)).text, content)
      }
    }))

  it.effect("keeps the exact name, in each way that clients write it", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      for (
        const [parameters, name] of [
          ["filename=plain.txt", "plain.txt"],
          ["filename=\"naïve – ünïcødé 🦊.txt\"", "naïve – ünïcødé 🦊.txt"],
          ["filename=\"Ã©.txt\"", "Ã©.txt"],
          ["filename=\"a%22b%0D%0Ac.txt\"", "a\"bc.txt"],
          ["filename=\"100%25 a%20b.txt\"", "100%25 a%20b.txt"],
          ["filename=\"a\\\"b\\\\c.txt\"", "a\"b\\c.txt"],
          ["filename=\"C:\\dir\\file.txt\"", "C:\\dir\\file.txt"],
          ["filename=\"semi;colon=1.txt\"", "semi;colon=1.txt"],
          ["filename=\"fallback.txt\"; filename*=UTF-8''%e2%82%ac%20rates.txt", "€ rates.txt"],
          ["filename*=iso-8859-1'en'%A3.txt; filename=\"x\"", "£.txt"],
          ["filename=\"../../etc/passwd\"", "../../etc/passwd"],
          ["filename=\"<script>alert(1)</script>\"", "<script>alert(1)</script>"],
          [`filename="${"x".repeat(1024)}"`, "x".repeat(1024)],
          ["filename=\"=?UTF-8?B?ZsO2by50eHQ=?=\"", "föo.txt"],
          ["filename*0*=UTF-8''f%C3%B6; filename*1=\"o.txt\"", "föo.txt"],
          ["filename*=windows-1252''f%F6o%80.txt", "föo€.txt"],
          ["filename=x; filename*=UTF-8''%ED%A0%80.txt", "x"],
          ["filename=\"می‌خواهم.pdf\"", "می‌خواهم.pdf"]
        ] as const
      ) {
        const answer = yield* sendParts(url, [[[disposition(`name="file"; ${parameters}`)], "x"]], { headers: anna })
        assert.strictEqual(answer.status, 200, answer.text)
        assert.strictEqual(answer.json["name"], name)
        const got = yield* call(`${url}/${answer.json.key}`)
        assert.strictEqual(got.status, 200)
        assert.strictEqual(got.text, "x")
        assert.notMatch(got.headers.get("content-disposition")!, /[\r\n]/)
      }
    }))

  it.effect("round-trips names through the form data of a browser", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      for (
        const name of ["a\"b.txt", "häßlich 日本.txt", "back\\slash", "per%cent.txt", "'; DROP TABLE"]
      ) {
        const file = yield* uploaded(url, "x", { name })
        assert.strictEqual(file["name"], name)
      }
    }))

  it.effect("takes text as a form, urlencoded or multipart", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const text = "päper & ink = 100%+"
      const encoded = yield* call(`${url}/?expires=1d`, {
        method: "POST",
        headers: anna,
        body: new URLSearchParams({ text, maxDownloads: "2", title: "a title" })
      })
      assert.strictEqual(encoded.status, 200, encoded.text)
      assert.strictEqual(encoded.json["mimeType"], "text/plain")
      assert.strictEqual(encoded.json["size"], Buffer.byteLength(text))
      assert.strictEqual(encoded.json["title"], "a title")
      assert.strictEqual(encoded.json["maxDownloads"], 2)
      assert.strictEqual(lifetime(encoded.json), DAY)
      assert.strictEqual((yield* call(`${url}/${encoded.json.key}`)).text, text)
      const multipart = yield* sendParts(url, [[[disposition("name=\"text\"")], text]])
      assert.strictEqual((yield* call(`${url}/${multipart.json.key}`)).text, text)
    }))

  it.effect.skipIf(!hasCurl)(
    "works with the curl lines of the documentation, and with HTTP/1.0 and Expect",
    () =>
      Effect.gen(function*() {
        const { url } = yield* start()
        const folder = yield* temporaryFolder
        const small = Path.join(folder, "näme; with, all.json")
        Fs.writeFileSync(small, "{}")
        const big = Path.join(folder, "big.bin")
        const bytes = pattern(3 * 1024 * 1024)
        Fs.writeFileSync(big, bytes)

        const file = JSON.parse(yield* curl("-F", `file=@"${small}";type=application/json`, `${url}/?expires=1w`))
        assert.strictEqual(file.name, "näme; with, all.json")
        assert.strictEqual(file.mimeType, "application/json")
        assert.strictEqual(lifetime(file), 7 * DAY)
        const text = JSON.parse(yield* curl("--data", "text=hello there", url))
        assert.strictEqual(yield* curl(`${url}/${text.key}`), "hello there")
        const mine = JSON.parse(yield* curl("-u", `${FRED}:`, "-F", `file=@${big}`, url))
        assert.strictEqual(mine.planId, 0)
        const quoted = JSON.parse(yield* curl("-F", `file=@${big};filename="a\\"b\\\\c"`, url))
        assert.strictEqual(quoted.name, "a\"b\\c")
        for (const mode of [["-H", "Expect: 100-continue"], ["--http1.0"], ["-H", "Transfer-Encoding: chunked"]]) {
          const sent = JSON.parse(yield* curl(...mode, "-F", `file=@${big}`, url))
          assert.strictEqual(sent.size, bytes.length, mode.join(" "))
          const got = Path.join(folder, "got.bin")
          yield* curl(mode[0] === "--http1.0" ? "--http1.0" : "--http1.1", "-o", got, `${url}/${sent.key}`)
          assert.isTrue(Fs.readFileSync(got).equals(bytes), mode.join(" "))
        }
      })
  )

  it.effect("without a file, with an empty file or with empty text is refused", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { url } = server
      const named = disposition("name=\"file\"; filename=\"f\"")
      for (
        const answer of [
          yield* sendParts(url, [[[named], ""]]),
          yield* sendParts(url, [[[named], ""], [[disposition("name=\"expires\"")], "1d"]]),
          yield* sendParts(url, [[[disposition("name=\"expires\"")], "1d"]]),
          yield* sendParts(url, [[[disposition("name=\"text\"")], ""]]),
          yield* call(url, { method: "POST", body: new URLSearchParams({ text: "" }) }),
          yield* call(url, { method: "POST", body: new URLSearchParams({ expires: "1d" }) }),
          yield* call(url, { method: "POST" })
        ]
      ) {
        assertRefused(answer, 400, "INVALID_REQUEST")
        assert.match(String(answer.json["message"]), /^file: /)
      }
      assert.deepStrictEqual([...blobs(server), ...incoming(server)], [])
    }))

  it.effect("with a wrong setting is refused, and the response names it and what is allowed", () =>
    Effect.gen(function*() {
      const server = yield* start()
      for (
        const [name, value, says] of [
          ["expires", "10x", /^expires: .*10m/],
          ["expires", "0d", /^expires: .*allowed/],
          ["expires", "1969-12-31T23:59:59Z", /^expires: .*past/],
          ["expires", "2030-02-31T00:00:00Z", /^expires: .*exist/],
          ["maxDownloads", "0", /^maxDownloads: .*allowed/],
          ["maxDownloads", "1.5", /^maxDownloads: .*allowed/],
          ["maxDownloads", "abc", /^maxDownloads: .*allowed/],
          ["autoDelete", "perhaps", /^autoDelete: .*true or false/]
        ] as const
      ) {
        const field = yield* upload(server.url, "x", { fields: { [name]: value } })
        assertRefused(field, 400, "INVALID_REQUEST")
        assert.match(String(field.json["message"]), says)
        const query = yield* upload(server.url, "x", { path: `/?${name}=${encodeURIComponent(value)}` })
        assertRefused(query, 400, "INVALID_REQUEST")
        assert.include(String(query.json["message"]), name)
      }
      assert.deepStrictEqual([...blobs(server), ...incoming(server)], [])
    }))

  it.effect("with a malformed body is refused, and nothing of it stays", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const send = (type: string, body: string) =>
        call(server.url, { method: "POST", headers: { "content-type": type }, body })
      const part = filePart("b")
      for (
        const [type, body] of [
          ["multipart/form-data", part + "x\r\n--b--\r\n"],
          ["multipart/form-data; boundary=b", ""],
          ["multipart/form-data; boundary=b", "no boundary at all"],
          ["multipart/form-data; boundary=b", part + "the end is missing"],
          ["multipart/form-data; boundary=b", part + "x\r\n--other--\r\n"],
          ["multipart/form-data; boundary=b; boundary=c", part + "x\r\n--b--\r\n"],
          ["multipart/form-data; boundary=b", "--b\r\n\r\nx\r\n--b--\r\n"],
          ["multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"],
          [
            "multipart/form-data; boundary=b",
            part.replace("\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n") + "eA==\r\n--b--\r\n"
          ],
          [
            "multipart/form-data; boundary=b",
            part.replace("\r\n\r\n", "\r\nContent-Disposition: form-data; filename=g\r\n\r\n") + "x\r\n--b--\r\n"
          ],
          ["multipart/form-data; boundary=b", "--b\r\nbad header line\r\n\r\nx\r\n--b--\r\n"],
          ["multipart/form-data; boundary=b", `--b\r\nX: ${"y".repeat(20_000)}\r\n\r\nx\r\n--b--\r\n`],
          [
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n1\r\n".repeat(200) + "--b--\r\n"
          ],
          [
            "multipart/form-data; boundary=b",
            `--b\r\nContent-Disposition: form-data; name="title"\r\n\r\n${"t".repeat(100_000)}\r\n--b--\r\n`
          ]
        ] as const
      ) {
        assertRefused(yield* send(type, body), 400, "INVALID_REQUEST")
      }
      assertRefused(yield* send("application/json", "{}"), 415, "UNSUPPORTED_MEDIA_TYPE")
      assertRefused(yield* send("multipart/mixed; boundary=b", part + "x\r\n--b--\r\n"), 415, "UNSUPPORTED_MEDIA_TYPE")
      assert.deepStrictEqual([...blobs(server), ...incoming(server)], [])
    }))

  it.effect("that breaks leaves nothing", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const { answered, request } = openUpload(server.url, "b")
      answered.catch(() => {})
      request.write(filePart("b"))
      request.write(pattern(2 * 1024 * 1024))
      yield* eventually("bytes arrive on the disk", () => {
        const [name] = incoming(server)
        return name !== undefined && Fs.statSync(Path.join(server.folder, "incoming", name)).size >= 1024 * 1024
      })
      request.destroy()
      yield* eventually("the temporary file is removed", () => incoming(server).length === 0)
      assert.deepStrictEqual(blobs(server), [])
      const { json } = yield* call(`${server.url}/me`, { headers: anna })
      assert.strictEqual(json["usedStorageBytes"], 0)
    }))

  it.effect("is refused as soon as it is larger than the plan allows, with the numbers", () =>
    Effect.gen(function*() {
      const server = yield* start({ plans: { free: { rateLimit: null, maxUploadBytes: 1_000_000 } } })
      const exact = yield* upload(server.url, pattern(1_000_000), { headers: fred })
      assert.strictEqual(exact.status, 200, exact.text)
      const over = yield* upload(server.url, pattern(1_000_001), { headers: fred })
      assertRefused(over, 413, "PAYLOAD_TOO_LARGE")
      assert.strictEqual(over.json["limit"], "maxUploadBytes")
      assert.strictEqual(over.json["asked"], 1_000_001)
      assert.strictEqual(over.json["allowed"], 1_000_000)

      // A body with a length is refused before a byte of it is read.
      const declared = openUpload(server.url, "b", { ...fred, "content-length": String(10_000_000) })
      declared.request.flushHeaders()
      const early = yield* Effect.promise(() => declared.answered)
      declared.request.destroy()
      assert.strictEqual(early.status, 413)
      assert.strictEqual(early.json["allowed"], 1_000_000)

      // A body without one is refused while it streams, though its end never comes.
      const endless = openUpload(server.url, "b", fred)
      endless.request.write(filePart("b"))
      endless.request.write(pattern(1_500_000))
      const cut = yield* Effect.promise(() => endless.answered)
      endless.request.destroy()
      assert.strictEqual(cut.status, 413)
      assert.strictEqual(cut.json["limit"], "maxUploadBytes")
      yield* eventually("nothing is left", () => incoming(server).length === 0 && blobs(server).length === 1)
    }))

  it.effect("is refused when the storage is full, also by running uploads", () =>
    Effect.gen(function*() {
      const server = yield* start({
        plans: { free: { rateLimit: null, maxStorageBytes: 3_000_000 } }
      })
      const { key } = yield* uploaded(server.url, pattern(1_000_000), { headers: fred })
      const running = openUpload(server.url, "b", fred)
      running.request.write(filePart("b"))
      running.request.write(pattern(1_500_000))
      yield* eventually("the other upload has its part", () => {
        const [name] = incoming(server)
        return name !== undefined && Fs.statSync(Path.join(server.folder, "incoming", name)).size >= 1_000_000
      })
      const over = yield* upload(server.url, pattern(1_000_000), { headers: fred })
      assertRefused(over, 413, "STORAGE_QUOTA_EXCEEDED")
      assert.strictEqual(over.json["limit"], "maxStorageBytes")
      assert.strictEqual(over.json["allowed"], 3_000_000)
      running.request.end("\r\n--b--\r\n")
      assert.strictEqual((yield* Effect.promise(() => running.answered)).status, 200)
      assertRefused(yield* upload(server.url, pattern(1_000_000), { headers: fred }), 413, "STORAGE_QUOTA_EXCEEDED")
      // A replacement counts only the difference, and a deletion frees storage.
      const options = { method: "PATCH", path: `/${key}`, headers: fred }
      assert.strictEqual((yield* upload(server.url, pattern(1_400_000), options)).status, 200)
      assertRefused(yield* upload(server.url, pattern(1_600_000), options), 413, "STORAGE_QUOTA_EXCEEDED")
      yield* call(`${server.url}/${key}`, { method: "DELETE", headers: fred })
      assert.strictEqual((yield* upload(server.url, pattern(1_500_000), { headers: fred })).status, 200)
      const { json } = yield* call(`${server.url}/me`, { headers: fred })
      assert.strictEqual(json["usedStorageBytes"], 3_000_000)
    }))

  it.effect("of a setting beyond the plan is refused with the limit", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const asked = (fields: Record<string, string>) => upload(url, "x", { headers: fred, fields })
      const limits = yield* Effect.forEach([
        { maxDownloads: "2" },
        { maxDownloads: "" },
        { expires: "2y" },
        { expires: "" },
        { autoDelete: "false" }
      ], asked)
      for (const answer of limits) assertRefused(answer, 402, "PLAN_LIMIT")
      assert.deepStrictEqual(
        limits.map(({ json }) => json["limit"]),
        ["maxDownloads", "maxDownloads", "expires", "expires", "autoDelete"]
      )
      assert.deepStrictEqual([limits[0]!.json["asked"], limits[0]!.json["allowed"]], [2, 1])
      assert.strictEqual((yield* asked({ expires: "1y", maxDownloads: "1", autoDelete: "true" })).status, 200)
    }))

  it.live("does not grow the memory with the file", () =>
    Effect.gen(function*() {
      const server = yield* start()
      const size = 192 * 1024 * 1024
      const piece = pattern(1024 * 1024)
      const send = Effect.promise(async () => {
        const { answered, request } = openUpload(server.url, "b")
        request.write(filePart("b"))
        for (let sent = 0; sent < size; sent += piece.length) {
          if (!request.write(piece)) await new Promise((resolve) => request.once("drain", resolve))
        }
        request.end("\r\n--b--\r\n")
        return answered
      })
      // The first warms up.
      assert.strictEqual((yield* send).status, 200)
      let most = 0
      const before = process.memoryUsage()
      const watch = setInterval(() => {
        const { arrayBuffers, heapUsed } = process.memoryUsage()
        most = Math.max(most, arrayBuffers + heapUsed - before.arrayBuffers - before.heapUsed)
      }, 5)
      const answer = yield* send
      clearInterval(watch)
      assert.strictEqual(answer.json["size"], size)
      assert.isBelow(most, size / 2, `${most} bytes`)
    }))
})
