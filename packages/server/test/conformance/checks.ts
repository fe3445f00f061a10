/**
 * The contract, row by row, as requests to any host. Uses nothing of the server or the SDK: it checks what goes over the wire.
 */
import assert from "node:assert/strict"
import * as Http from "node:http"
import * as Https from "node:https"
import { setTimeout as sleep } from "node:timers/promises"

export interface Host {
  /** Without a trailing slash. */
  readonly url: string
  readonly key: string
}

export interface Check {
  /** The checked part of the contract. */
  readonly about: string
  readonly says: string
  /** Resolves with a reason if the host's plan does not allow the check. */
  readonly run: (host: Host) => Promise<string | void>
}

export interface Answer {
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: Buffer
}

interface Asked {
  readonly method?: string
  readonly headers?: Record<string, string>
  readonly body?: Buffer
  /** Without a key; with one by default. */
  readonly anonymous?: boolean
}

const once = ({ key, url }: Host, path: string, asked: Asked): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const target = path.startsWith("http") ? path : `${url}${path}`
    const request = (target.startsWith("https:") ? Https : Http).request(target, {
      agent: false,
      method: asked.method ?? "GET",
      headers: {
        accept: "application/json",
        ...(asked.anonymous === true ? {} : { authorization: `Bearer ${key}` }),
        ...(asked.body === undefined ? {} : { "content-length": String(asked.body.length) }),
        ...asked.headers
      }
    }, (response) => {
      const chunks: Array<Buffer> = []
      response.on("data", (chunk: Buffer) => chunks.push(chunk))
      response.on("error", reject)
      response.on("end", () =>
        resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) }))
    })
    request.on("error", reject)
    request.end(asked.body)
  })

/** Waits for the host's rate limit. */
export const send = async (host: Host, path: string, asked: Asked = {}): Promise<Answer> => {
  for (let tries = 0;; tries++) {
    const answer = await once(host, path, asked)
    if (answer.status !== 429 || tries === 20) return answer
    await sleep(1000 * Math.min(60, Number(answer.headers["retry-after"] ?? "1") || 1))
  }
}

type Json = Record<string, unknown>

const json = (answer: Answer): Json => {
  assert.match(String(answer.headers["content-type"]), /^application\/json/, `status ${answer.status}`)
  return JSON.parse(String(answer.body)) as Json
}

export const succeeded = (answer: Answer): Json => {
  assert.equal(answer.status, 200, String(answer.body))
  const body = json(answer)
  assert.equal(body["success"], true)
  assert.equal(body["status"], 200)
  return body
}

/** The envelope of an error, in its current or its older form. */
const refused = (answer: Answer, ...statuses: ReadonlyArray<number>): Json => {
  assert.ok(statuses.includes(answer.status), `status ${answer.status}, allowed ${statuses.join(", ")}: ${answer.body}`)
  const body = json(answer)
  assert.equal(body["success"], false)
  assert.equal(body["status"] ?? body["error"], answer.status)
  assert.equal(typeof body["message"], "string")
  if (body["status"] !== undefined) {
    assert.equal(typeof body["code"], "string")
    assert.ok("help" in body && "key" in body)
  }
  return body
}

type Part = readonly [headers: ReadonlyArray<string>, content: string | Buffer]

const BOUNDARY = "----conformance9f86d081884c7d65"

const multipart = (parts: ReadonlyArray<Part>): Asked => ({
  headers: { "content-type": `multipart/form-data; boundary=${BOUNDARY}` },
  body: Buffer.concat([
    ...parts.flatMap(([headers, content]) => [
      Buffer.from(`--${BOUNDARY}\r\n${headers.map((line) => `${line}\r\n`).join("")}\r\n`),
      Buffer.from(content),
      Buffer.from("\r\n")
    ]),
    Buffer.from(`--${BOUNDARY}--\r\n`)
  ])
})

const disposition = (rest: string) => `Content-Disposition: form-data; ${rest}`

const filePart = (content: string | Buffer, name = "check.txt", type = "text/plain"): Part => [
  [disposition(`name="file"; filename="${name}"`), `Content-Type: ${type}`],
  content
]

const field = (name: string, value: string): Part => [[disposition(`name="${name}"`)], value]

const form = (fields: Record<string, string>): Asked => ({
  headers: { "content-type": "application/x-www-form-urlencoded" },
  body: Buffer.from(String(new URLSearchParams(fields)))
})

const withMethod = (method: string, asked: Asked): Asked => ({ ...asked, method })

const upload = async (host: Host, ...fields: ReadonlyArray<Part>): Promise<Json> =>
  succeeded(await send(host, "/", withMethod("POST", multipart([filePart("content"), ...fields]))))

/** Uploads with a setting that a plan may refuse. */
const tryUpload = async (host: Host, ...fields: ReadonlyArray<Part>): Promise<Json | undefined> => {
  const answer = await send(host, "/", withMethod("POST", multipart([filePart("content"), ...fields])))
  if (answer.status === 402 || answer.status === 403) {
    refused(answer, 402, 403)
    return undefined
  }
  return succeeded(answer)
}

const BEYOND = "the plan does not allow it, and says so"

const download = (host: Host, key: unknown, asked: Asked = {}): Promise<Answer> =>
  send(host, `/${String(key)}`, { ...asked, headers: { accept: "*/*", ...asked.headers } })

export const remove = (host: Host, ...files: ReadonlyArray<Json>) =>
  Promise.all(files.map((file) => send(host, `/${String(file["key"])}`, { method: "DELETE" })))

const DAY = 24 * 60 * 60 * 1000

const lifetime = (file: Json): number =>
  Date.parse(String(file["expires"])) - Date.parse(String(file["modified"] ?? file["created"]))

/** `modified` may be a moment before or after the time from which the expiry was computed. */
const lasts = (file: Json, least: number, most = least): void =>
  assert.ok(lifetime(file) > least - 2000 && lifetime(file) < most + 2000, `lasts ${lifetime(file)} ms`)

const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

const isGone = async (host: Host, key: unknown): Promise<void> => {
  const body = refused(await download(host, key), 404)
  if (body["code"] !== undefined) assert.equal(body["code"], "FILE_NOT_FOUND")
}

/** A future time in the contract's ISO forms. */
const inAnHour = () => new Date(Date.now() + 60 * 60 * 1000).toISOString()

export const check = (about: string, says: string, run: Check["run"]): Check => ({ about, says, run })

export const checks: ReadonlyArray<Check> = [
  check("authentication", "a bearer token is taken", async (host) => {
    succeeded(await send(host, "/me"))
  }),
  check("authentication", "the key as the user name of HTTP Basic is taken", async (host) => {
    const authorization = `Basic ${Buffer.from(`${host.key}:`).toString("base64")}`
    succeeded(await send(host, "/me", { anonymous: true, headers: { authorization } }))
  }),
  check("authentication", "calls that need a key are refused without one, and with a wrong one", async (host) => {
    for (
      const [method, path] of [
        ["GET", "/me"],
        ["GET", "/"],
        ["PUT", "/abcdefghijkl"],
        ["PATCH", "/abcdefghijkl"],
        ["DELETE", "/abcdefghijkl"]
      ] as const
    ) {
      refused(await send(host, path, { method, anonymous: true }), 401)
      const authorization = "Bearer 0000000.0000000-0000000-0000000-0000000"
      refused(await send(host, path, { method, anonymous: true, headers: { authorization } }), 401)
    }
  }),

  check("envelope", "an unknown key is a 404 with the code FILE_NOT_FOUND", async (host) => {
    await isGone(host, "abcdefghijkl")
    assert.equal(refused(await download(host, "abcdefghijkl", { anonymous: true }), 404)["code"], "FILE_NOT_FOUND")
  }),
  check("envelope", "a route that there is not, and a method that it does not take, are in it too", async (host) => {
    refused(await send(host, "/no/such/route"), 404)
    refused(await send(host, "/me", { method: "POST" }), 404, 405)
  }),
  check("envelope", "a body of another type is in it too", async (host) => {
    const headers = { "content-type": "application/json" }
    refused(await send(host, "/", { method: "POST", headers, body: Buffer.from("{}") }), 400, 415)
  }),

  check("upload", "a file is answered with its details, with the contract's defaults", async (host) => {
    const file = await upload(host)
    assert.match(String(file["key"]), /^[A-Za-z0-9]{5,}$/)
    assert.ok(String(file["link"]).endsWith(String(file["key"])))
    assert.match(String(file["id"]), /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i)
    assert.match(String(file["expires"]), ISO)
    assert.match(String(file["created"]), ISO)
    assert.match(String(file["modified"]), ISO)
    lasts(file, 14 * DAY)
    assert.equal(typeof file["screeningStatus"], "string")
    assert.equal(typeof file["private"], "boolean")
    assert.ok("planId" in file && "title" in file && "description" in file)
    const { autoDelete, downloads, maxDownloads, mimeType, name, nodeType, path, size } = file
    assert.deepEqual({ autoDelete, downloads, maxDownloads, mimeType, name, nodeType, path, size }, {
      autoDelete: true,
      downloads: 0,
      maxDownloads: 1,
      mimeType: "text/plain",
      name: "check.txt",
      nodeType: "file",
      path: "/",
      size: 7
    })
    await remove(host, file)
  }),
  check("upload", "needs no key", async (host) => {
    const asked = { ...withMethod("POST", multipart([filePart("anonymous")])), anonymous: true }
    const { key } = succeeded(await send(host, "/", asked))
    assert.equal(String((await download(host, key, { anonymous: true })).body), "anonymous")
  }),
  check("upload", "takes the parts in any order", async (host) => {
    const parts = [field("expires", "1d"), filePart("content"), field("title", "a title")]
    for (const ordered of [parts, parts.toReversed()]) {
      const file = succeeded(await send(host, "/", withMethod("POST", multipart(ordered))))
      lasts(file, DAY)
      assert.equal(file["title"], "a title")
      await remove(host, file)
    }
  }),
  check("upload", "takes the first part with a file name as the file, whatever it is called", async (host) => {
    for (const name of ["", "upload", "expires"]) {
      const part: Part = [[disposition(`name="${name}"; filename="a.bin"`)], "content"]
      const file = succeeded(await send(host, "/", withMethod("POST", multipart([part]))))
      assert.equal(file["name"], "a.bin")
      assert.equal(file["size"], 7)
      await remove(host, file)
    }
  }),
  check("upload", "takes files of JSON and files without a type", async (host) => {
    for (const type of ["application/json", ""]) {
      const file = succeeded(
        await send(host, "/", withMethod("POST", multipart([filePart("{\"a\":1}", "a.json", type)])))
      )
      assert.equal(String((await download(host, file["key"])).body), "{\"a\":1}")
    }
  }),
  check("upload", "takes settings as query parameters", async (host) => {
    const file = succeeded(
      await send(host, "/?expires=1w&title=query", withMethod("POST", multipart([filePart("content")])))
    )
    lasts(file, 7 * DAY)
    assert.equal(file["title"], "query")
    await remove(host, file)
  }),
  check("upload", "takes a text as a form", async (host) => {
    const { key, size } = succeeded(await send(host, "/", withMethod("POST", form({ text: "see you at eight, ü" }))))
    assert.equal(size, 20)
    assert.equal(String((await download(host, key)).body), "see you at eight, ü")
  }),
  check("upload", "keeps names that are hard to write", async (host) => {
    for (const name of ["näme with spaces.txt", "semi;colon=1.txt", "日本語.txt"]) {
      const file = succeeded(await send(host, "/", withMethod("POST", multipart([filePart("content", name)]))))
      assert.equal(file["name"], name)
      const { headers } = await download(host, file["key"])
      assert.match(String(headers["content-disposition"]), /^attachment/)
    }
  }),
  check("upload", "refuses an empty file, no file, and a body that ends early", async (host) => {
    refused(await send(host, "/", withMethod("POST", multipart([filePart("")]))), 400)
    refused(await send(host, "/", withMethod("POST", multipart([field("expires", "1d")]))), 400)
    const whole = multipart([filePart("content")])
    refused(await send(host, "/", withMethod("POST", { ...whole, body: whole.body!.subarray(0, -20) })), 400)
  }),
  check("upload", "of more than the plan takes is refused with 413", async (host) => {
    const { maxUploadBytes } = succeeded(await send(host, "/me"))
    if (typeof maxUploadBytes !== "number") return "the host does not tell the largest size"
    const begun = await new Promise<Answer | undefined>((resolve) => {
      const target = new URL(`${host.url}/`)
      const request = (target.protocol === "https:" ? Https : Http).request(target, {
        agent: false,
        method: "POST",
        headers: {
          authorization: `Bearer ${host.key}`,
          "content-type": `multipart/form-data; boundary=${BOUNDARY}`,
          "content-length": String(maxUploadBytes + 100_000_000)
        }
      }, (response) => {
        const chunks: Array<Buffer> = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("close", () => {
          resolve({ status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks) })
          request.destroy()
        })
      })
      request.on("error", () => resolve(undefined))
      request.setTimeout(5000, () => {
        resolve(undefined)
        request.destroy()
      })
      request.write(`--${BOUNDARY}\r\n${disposition("name=\"file\"; filename=\"f\"")}\r\n\r\n`)
    })
    if (begun === undefined) return "the host does not refuse by the length that is declared"
    refused(begun, 413)
  }),

  ...([
    ["1y", 365 * DAY, 366 * DAY],
    ["1Q", 89 * DAY, 93 * DAY],
    ["1M", 28 * DAY, 31 * DAY],
    ["2w", 14 * DAY, 14 * DAY],
    ["3d", 3 * DAY, 3 * DAY],
    ["4h", DAY / 6, DAY / 6],
    ["10m", 600_000, 600_000],
    ["90s", 90_000, 90_000],
    ["5", 5 * DAY, 5 * DAY]
  ] as const).map(([expires, least, most]) =>
    check("expires", `\`${expires}\` is taken`, async (host) => {
      const file = await tryUpload(host, field("expires", expires))
      if (file === undefined) return BEYOND
      await remove(host, file)
      lasts(file, least, most)
    })
  ),
  ...([
    ["extended, UTC", (iso: string) => iso.replace(/\.\d+Z/, "Z")],
    ["extended, with a fraction of 3 digits", (iso: string) => iso],
    ["extended, with a fraction of 6 digits", (iso: string) => iso.replace(/(\.\d+)Z/, "$1000Z")],
    ["extended, without a zone", (iso: string) => iso.replace(/\.\d+Z/, "")],
    [
      "extended, of another zone",
      (iso: string) => `${new Date(Date.parse(iso) + 5.5 * 3_600_000).toISOString().replace(/\.\d+Z/, "")}+05:30`
    ],
    ["basic", (iso: string) => iso.replace(/\.\d+Z/, "").replaceAll(/[-:]/g, "")]
  ] as const).map(([name, write]) =>
    check("expires", `an ISO 8601 time is taken: ${name}`, async (host) => {
      const iso = inAnHour()
      const file = await upload(host, field("expires", write(iso)))
      await remove(host, file)
      assert.ok(Math.abs(Date.parse(String(file["expires"])) - Date.parse(iso)) < 1000, String(file["expires"]))
    })
  ),
  check("expires", "empty means never", async (host) => {
    const file = await tryUpload(host, field("expires", ""))
    if (file === undefined) return BEYOND
    await remove(host, file)
    assert.equal(file["expires"], null)
  }),
  check("expires", "what is no expiry is refused", async (host) => {
    for (const expires of ["0d", "10x", "1|d", "soon", "-1d", "1969-12-31T23:59:59Z"]) {
      refused(await send(host, "/", withMethod("POST", multipart([filePart("x"), field("expires", expires)]))), 400)
    }
  }),
  check("expires", "a file that has expired is gone", async (host) => {
    const { key } = await upload(host, field("expires", "1s"))
    await sleep(1100)
    await isGone(host, key)
  }),

  check("maxDownloads", "n allows n downloads", async (host) => {
    const file = await tryUpload(host, field("maxDownloads", "3"))
    if (file === undefined) return BEYOND
    assert.equal(file["maxDownloads"], 3)
    for (let i = 0; i < 3; i++) assert.equal(String((await download(host, file["key"])).body), "content")
    await isGone(host, file["key"])
  }),
  check("maxDownloads", "empty means no limit", async (host) => {
    const file = await tryUpload(host, field("maxDownloads", ""))
    if (file === undefined) return BEYOND
    assert.equal(file["maxDownloads"], null)
    for (let i = 0; i < 3; i++) assert.equal(String((await download(host, file["key"])).body), "content")
    await remove(host, file)
  }),
  check("maxDownloads", "what is no such number is refused", async (host) => {
    for (const maxDownloads of ["0", "-1", "1.5", "many"]) {
      const asked = multipart([filePart("x"), field("maxDownloads", maxDownloads)])
      refused(await send(host, "/", withMethod("POST", asked)), 400)
    }
  }),
  check("autoDelete", "false keeps a used-up file for its owner, listed and not downloadable", async (host) => {
    const file = await tryUpload(host, field("autoDelete", "false"))
    if (file === undefined) return BEYOND
    assert.equal((await download(host, file["key"])).status, 200)
    await isGone(host, file["key"])
    const { nodes = [] } = succeeded(await send(host, "/?sort=-created&limit=100")) as { nodes?: Array<Json> }
    assert.equal(nodes.find(({ key }) => key === file["key"])?.["downloads"], 1)
    await remove(host, file)
  }),
  check("autoDelete", "what is neither true nor false is refused", async (host) => {
    const asked = multipart([filePart("x"), field("autoDelete", "perhaps")])
    refused(await send(host, "/", withMethod("POST", asked)), 400)
  }),

  check("download", "gives the bytes with their name and size, once", async (host) => {
    const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251))
    const { key } = succeeded(
      await send(host, "/", withMethod("POST", multipart([filePart(content, "a.bin", "application/octet-stream")])))
    )
    const got = await download(host, key)
    assert.equal(got.status, 200)
    assert.ok(got.body.equals(content))
    assert.equal(got.headers["content-length"], String(content.length))
    assert.match(String(got.headers["content-disposition"]), /^attachment; ?filename="?a\.bin"?/)
    await isGone(host, key)
  }),
  check("download", "gives it to exactly one of many who ask at the same time", async (host) => {
    const { key } = await upload(host)
    const answers = await Promise.all(Array.from({ length: 20 }, () =>
      once(host, `/${String(key)}`, {
        headers: { accept: "*/*" }
      })))
    assert.equal(answers.filter(({ status }) => status === 200).length, 1)
    for (const answer of answers) if (answer.status !== 200) refused(answer, 404, 423, 429)
  }),
  check("download", "is not begun by HEAD", async (host) => {
    const { key } = await upload(host)
    for (let i = 0; i < 2; i++) {
      const head = await download(host, key, { method: "HEAD" })
      assert.ok([200, 302, 405].includes(head.status), String(head.status))
      assert.equal(head.body.length, 0)
    }
    assert.equal(String((await download(host, key)).body), "content")
  }),
  check("download", "gives a browser a page unless the plan has direct download", async (host) => {
    const { directDownload } = succeeded(await send(host, "/me"))
    const asked = { anonymous: true, headers: { accept: "text/html,application/xhtml+xml,*/*;q=0.8" } }
    if (!["0", "false", "undefined", "null", ""].includes(String(directDownload))) return "the plan has direct download"
    const { key } = await upload(host)
    const answer = await download(host, key, asked)
    assert.equal(answer.status, 302)
    assert.match(String(answer.headers["location"]), new RegExp(`/download/${String(key)}$`))
    assert.equal(String((await download(host, key)).body), "content")
  }),
  check("download", "gives a crawler nothing but a page", async (host) => {
    const { key } = await upload(host)
    const headers = { accept: "*/*", "user-agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)" }
    const answer = await download(host, key, { anonymous: true, headers })
    assert.ok(
      answer.status === 302 || String(answer.headers["content-type"]).startsWith("text/html"),
      String(answer.status)
    )
    assert.equal(String((await download(host, key)).body), "content")
  }),

  check("update", "with PATCH keeps what is not given", async (host) => {
    const file = await upload(host, field("expires", "3d"), field("title", "kept"))
    const changed = succeeded(
      await send(host, `/${String(file["key"])}`, withMethod("PATCH", multipart([field("expires", "5d")])))
    )
    await remove(host, file)
    lasts(changed, 5 * DAY)
    assert.equal(changed["title"], "kept")
    assert.equal(changed["maxDownloads"], file["maxDownloads"])
    assert.equal(changed["name"], file["name"])
    assert.equal(changed["key"], file["key"])
  }),
  check("update", "with PUT resets what is not given to its default", async (host) => {
    const file = await upload(host, field("expires", "3d"))
    const changed = succeeded(
      await send(host, `/${String(file["key"])}`, withMethod("PUT", form({ maxDownloads: "1" })))
    )
    lasts(changed, 14 * DAY)
    assert.equal(changed["autoDelete"], true)
    assert.equal(String((await download(host, file["key"])).body), "content")
  }),
  ...["PUT", "PATCH"].map((method) =>
    check("update", `with ${method} takes new content`, async (host) => {
      const file = await upload(host)
      const at = `/${String(file["key"])}`
      const changed = succeeded(
        await send(host, at, withMethod(method, multipart([filePart("new content", "new.txt")])))
      )
      assert.equal(changed["name"], "new.txt")
      assert.equal(changed["size"], 11)
      assert.equal(String((await download(host, file["key"])).body), "new content")
    })
  ),
  check("update", "of what is not there is a 404, and with a wrong setting a 400", async (host) => {
    refused(await send(host, "/abcdefghijkl", withMethod("PATCH", form({ expires: "1d" }))), 404)
    refused(await send(host, "/abcdefghijkl", withMethod("PUT", form({ expires: "1d" }))), 404)
    const file = await upload(host)
    const at = `/${String(file["key"])}`
    refused(await send(host, at, withMethod("PATCH", form({ expires: "10x" }))), 400)
    refused(await send(host, at, withMethod("PATCH", multipart([filePart("")]))), 400)
    assert.equal(String((await download(host, file["key"])).body), "content")
  }),
  check("deletion", "takes the token of the upload in place of a key, where the host gives one", async (host) => {
    const file = await upload(host)
    const token = file["deleteToken"]
    if (token === undefined || token === null) {
      await remove(host, file)
      return "the host gives no deletion tokens"
    }
    const asked = { method: "DELETE", anonymous: true }
    const wrong = { "delete-token": `${String(token).slice(1)}x` }
    refused(await send(host, `/${String(file["key"])}`, { ...asked, headers: wrong }), 401, 404)
    succeeded(await send(host, `/${String(file["key"])}`, { ...asked, headers: { "delete-token": String(token) } }))
    await isGone(host, file["key"])
    return undefined
  }),
  check("status", "says what is there, and to the sender what became of it, where the host has it", async (host) => {
    const file = await upload(host)
    const at = `/status/${String(file["key"])}`
    const ask = (headers: Record<string, string> = {}) => send(host, at, { headers, anonymous: true })
    const first = await ask()
    if (first.status !== 200) {
      await remove(host, file)
      return "the host does not report the status of files"
    }
    const there = succeeded(first)
    assert.equal(there["state"], "available")
    assert.equal(there["size"], 7)
    // Asking has taken nothing.
    assert.equal(String((await download(host, file["key"])).body), "content")
    refused(await ask(), 404)
    refused(await ask({ "delete-token": "wrong" }), 404)
    const token = { "delete-token": String(file["deleteToken"]) }
    assert.equal(succeeded(await ask(token))["state"], "downloaded")
    return undefined
  }),
  check("deletion", "deletes, and finds nothing the second time", async (host) => {
    const { key } = await upload(host)
    const answer = await send(host, `/${String(key)}`, { method: "DELETE" })
    // An empty body with a 2xx status is a success too.
    if (answer.body.length > 0) succeeded(answer)
    else assert.ok(answer.status >= 200 && answer.status < 300)
    await isGone(host, key)
    refused(await send(host, `/${String(key)}`, { method: "DELETE" }), 404)
  }),

  check("list", "has the account's files with their details, newest first", async (host) => {
    const older = await upload(host)
    await sleep(5)
    const newer = await upload(host)
    const page = succeeded(await send(host, "/"))
    const nodes = (page["nodes"] ?? page["files"]) as Array<Json>
    await remove(host, older, newer)
    const keys = nodes.map(({ key }) => key)
    assert.ok(keys.includes(newer["key"]) && keys.includes(older["key"]))
    assert.ok(keys.indexOf(newer["key"]) < keys.indexOf(older["key"]))
    assert.equal(typeof page["count"], "number")
    assert.equal(typeof page["size"], "number")
    // Only the response to the upload has the token.
    const { deleteToken: _, status: __, success: ___, ...details } = newer
    assert.deepEqual(nodes.find(({ key }) => key === newer["key"]), details)
  }),
  check("list", "searches in the name, sorts both ways, and pages", async (host) => {
    const mark = `conformance${Date.now()}`
    const names = ["b", "a", "c"].map((letter) => `${letter}-${mark}.txt`)
    const files: Array<Json> = []
    for (const [i, name] of names.entries()) {
      const part = filePart("x".repeat(i + 1), name)
      files.push(succeeded(await send(host, "/", withMethod("POST", multipart([part])))))
    }
    const listed = async (query: string) => {
      const page = succeeded(await send(host, `/?search=${mark}&${query}`))
      return ((page["nodes"] ?? page["files"]) as Array<Json>).map(({ name }) => String(name)[0]).join("")
    }
    const got = [
      await listed("sort=name"),
      await listed("sort=-name"),
      await listed("sort=size"),
      await listed("sort=-created"),
      await listed("sort=name&limit=2"),
      await listed("sort=name&offset=2&limit=2"),
      await listed("sort=name&offset=9")
    ]
    await remove(host, ...files)
    assert.deepEqual(got, ["abc", "cba", "bac", "cab", "ab", "c", ""])
  }),
  check("list", "refuses what is no number", async (host) => {
    refused(await send(host, "/?limit=x"), 400)
    refused(await send(host, "/?offset=-1"), 400)
  }),
  check("account", "has the plan, its limits and the storage in use", async (host) => {
    const me = succeeded(await send(host, "/me"))
    for (const name of ["planId", "maxUploadBytes", "maxStorageBytes", "usedStorageBytes", "rateLimit"]) {
      assert.ok(name in me, name)
    }
    assert.ok("directDownload" in me && "customDomain" in me)
    const file = await upload(host)
    const after = succeeded(await send(host, "/me"))
    await remove(host, file)
    assert.ok(Number(after["usedStorageBytes"]) >= 7)
  })
]
