/** `/openapi.json` and `/developers`: the contract's declaration, for programs and for people. */
import * as FileIoApi from "@effect-fileio/core/FileIoApi"
import * as Effect from "effect/Effect"
import * as OpenApi from "effect/http-api/OpenApi"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Refusal from "../http/refusal.ts"
import { Settings } from "../http/settings.ts"
import * as Browser from "./browser.ts"
import { document } from "./frame.ts"
import { trusted } from "./html.ts"
import * as StatusApi from "./statusApi.ts"
import * as UploadsApi from "./uploadsApi.ts"
import { english } from "./words/words.ts"

const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)

/** The parts of a schema that the page describes; everything else is shown as JSON. */
interface Described {
  readonly $ref?: string
  readonly type?: string | ReadonlyArray<string>
  readonly description?: string
  readonly properties?: Readonly<Record<string, Described>>
  readonly required?: ReadonlyArray<string>
}

const METHODS = ["get", "post", "put", "patch", "delete"] as const

const row = (cells: ReadonlyArray<string>, id?: string): string =>
  `<tr${id === undefined ? "" : ` id="${escape(id)}"`}>${cells.map((cell) => `<td>${cell}</td>`).join("")}</tr>`

const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<string>): string =>
  rows.length === 0
    ? ""
    : `<table><thead><tr>${head.map((cell) => `<th scope="col">${cell}</th>`).join("")}</tr></thead>
<tbody>${rows.join("\n")}</tbody></table>`

/** Descriptions have names between backticks. */
const prose = (text: string): string => escape(text).replace(/`([^`]*)`/g, "<code>$1</code>")

const code = (text: string): string => `<code>${escape(text)}</code>`

/** The calls in the order in which people need them, and `curl` commands that work as they are where `VARIABLES` are set. */
const CALLS: ReadonlyArray<readonly [operation: string, examples: ReadonlyArray<string>]> = [
  ["upload", [
    "curl -F file=@photo.jpg 'BASE/'",
    "curl -F file=@photo.jpg -F expires=1w -F maxDownloads=1 'BASE/'",
    "curl -T photo.jpg 'BASE/'",
    "curl --data 'text=see you at eight' 'BASE/'"
  ]],
  ["download", ["curl -f -o photo.jpg \"BASE/$KEY\""]],
  ["delete", [
    "curl -X DELETE -H \"Delete-Token: $TOKEN\" \"BASE/$KEY\"",
    "curl -X DELETE -u \"$API_KEY:\" \"BASE/$KEY\""
  ]],
  ["me", ["curl -u \"$API_KEY:\" 'BASE/me'"]],
  ["list", ["curl -u \"$API_KEY:\" 'BASE/?search=photo&sort=-size&limit=10'"]],
  ["update", ["curl -X PATCH -u \"$API_KEY:\" -F expires=2w \"BASE/$KEY\""]],
  ["replace", ["curl -X PUT -u \"$API_KEY:\" -F file=@photo.jpg -F maxDownloads=1 \"BASE/$KEY\""]]
]
const STATUS_EXAMPLE = "curl -H \"Delete-Token: $TOKEN\" \"BASE/status/$KEY\""

const VARIABLES = `<dl class="facts">
<div><dt>${code("$API_KEY")}</dt><dd>the key of an account</dd></div>
<div><dt>${code("$KEY")}</dt><dd>${code("key")} in the response to an upload: the end of its link</dd></div>
<div><dt>${code("$TOKEN")}</dt><dd>${code("deleteToken")} in that response</dd></div>
</dl>`

const commands = (id: string, publicUrl: string, lines: ReadonlyArray<string>): string =>
  lines.map((line, index) => {
    const place = `${id}-curl-${index}`
    return `<div class="command"><pre><code id="${place}" dir="ltr">${
      escape(line.replace("BASE", publicUrl))
    }</code></pre><button class="button quiet small" type="button" data-copy="#${place}" aria-label="Copy command ${
      index + 1
    } of ${id}" hidden>Copy</button></div>`
  }).join("\n")

/** What most readers look up later. */
const folded = (title: string, parts: ReadonlyArray<string>): string => {
  const content = parts.filter((part) => part !== "").join("\n")
  return content === "" ? "" : `<details><summary>${title}</summary><div class="reference">${content}</div></details>`
}

const resolve = (spec: OpenApi.OpenAPISpec, schema: Described): Described =>
  schema.$ref === undefined
    ? schema
    : (spec.components.schemas as Record<string, Described>)[schema.$ref.split("/").at(-1)!] ?? schema

const fields = (spec: OpenApi.OpenAPISpec, given: Described): string => {
  const { properties = {}, required = [] } = resolve(spec, given)
  return table(
    ["field", "needed", "meaning"],
    Object.entries(properties).map(([name, schema]) => {
      const { description = "" } = resolve(spec, schema)
      return row([code(name), required.includes(name) ? "yes" : "no", prose(description)])
    })
  )
}

/** Resumable uploads, which are no call of the contract. */
const uploads = (): string => {
  const { delete: remove, head, patch } = UploadsApi.paths([], { error: {}, details: {} })["/uploads/{upload}"]
  const rows = [["HEAD", head], ["PATCH", patch], ["DELETE", remove]] as const
  return `<section class="card" id="uploads">
<h2>Uploads that go on</h2>
<p>${prose(UploadsApi.DESCRIPTION)}</p>
<h3>${code("/uploads/{upload}")}</h3>
${
    table(
      ["method", "meaning"],
      rows.map(([method, { description }]) => row([code(method), prose(description)]))
    )
  }
</section>`
}

const page = (spec: OpenApi.OpenAPISpec, publicUrl: string): string => {
  const operations = Object.entries(spec.paths).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = item[method]
      return operation === undefined ? [] : [{ path, method: method.toUpperCase(), operation }]
    })
  )
  /** Responses that every call can have are described once, with the codes. */
  const common = new Set(
    Object.keys(operations[0]?.operation.responses ?? {}).filter((status) =>
      Number(status) >= 400 && operations.every(({ operation }) => status in operation.responses)
    )
  )
  /** Forms that were described already, and where. */
  const known = new Map<string, { readonly id: string; readonly name: string }>()
  const sections = CALLS.map(([id, lines]) => {
    const { method, operation, path } = operations.find(({ operation }) => operation.operationId === id)!
    const given = (place: "query" | "header") =>
      (operation.parameters as ReadonlyArray<{ name: string; in: string; description?: string; schema?: Described }>)
        .filter((parameter) => parameter.in === place)
        .map((parameter) =>
          row([
            code(parameter.name),
            prose(parameter.description ?? parameter.schema?.description ?? "")
          ])
        )
    const forms = Object.entries(operation.requestBody?.content ?? {}).map(([type, { schema }]) => {
      const { description } = schema as Described
      const lead = description === undefined ? "" : `<p>${prose(description)}</p>`
      return `<h3>${code(type)}</h3>${lead}${fields(spec, schema as Described)}`
    }).join("\n")
    const same = known.get(forms)
    if (same === undefined) known.set(forms, { id, name: `${method} ${path}` })
    const bodies = forms === "" || same === undefined
      ? forms
      : `<p>The body is that of <a href="#${escape(same.id)}">${code(same.name)}</a>.</p>`
    const responses = Object.entries(operation.responses).filter(([status]) => !common.has(status)).map((
      [status, response]
    ) => row([code(status), prose(response.description ?? "")]))
    const open = (operation.security as ReadonlyArray<object>).some((scheme) => Object.keys(scheme).length === 0)
    return `<section class="card" id="${escape(id)}">
<h2>${code(`${method} ${path}`)}</h2>
<p>${prose(operation.description ?? "")} ${open ? "A key is optional." : "Needs a key."}</p>
${commands(id, publicUrl, lines)}
${
      folded("Fields and responses", [
        table(["in the query", "meaning"], given("query")),
        table(["header", "meaning"], given("header")),
        bodies,
        table(["status", "meaning"], responses)
      ])
    }
</section>`
  })
  return document({
    language: english,
    title: `${english.words.brand}: API`,
    root: "./",
    rich: true,
    broad: true,
    body: trusted(`<div><h1 tabindex="-1">${escape(english.words.brand)}: API</h1>
<p class="lead">${escape(spec.info.description ?? "")} Every call is one request to ${code(publicUrl)}. Programs read
<a href="openapi.json">openapi.json</a>.</p></div>
${sections[0]}
<section class="card" id="begin">
<h2>Variables of the commands</h2>
${VARIABLES}
<p>An API key goes as ${code("Authorization: Bearer KEY")}, or as the user name of HTTP Basic with any password.
Every refusal is JSON: ${
      code("{\"success\": false, \"status\": 404, \"code\": \"FILE_NOT_FOUND\", \"message\": \"…\"}")
    }.</p>
</section>
${sections.slice(1).join("\n")}
<section class="card" id="status">
<h2>${code("GET /status/{key}")}</h2>
<p>${prose(StatusApi.DESCRIPTION)}</p>
${commands("status", publicUrl, [STATUS_EXAMPLE])}
</section>
${uploads()}
<section class="card" id="codes">
<h2>Error codes</h2>
<p>Every call can fail with ${[...common].map(code).join(", ")}. ${code("help")} of an error links here.</p>
${
      table(
        ["code", "meaning"],
        Object.entries(Refusal.CODES).map(([name, meaning]) =>
          row([code(name).replaceAll("_", "_<wbr>"), prose(meaning)], name)
        )
      )
    }
</section>`)
  })
}

/** Stands for the address of the server in what is made once. */
const BASE = "https://base.invalid"

const shared = { "cache-control": "public, max-age=300", "x-content-type-options": "nosniff" }

export const routes = HttpRouter.use(Effect.fnUntraced(function*(router) {
  const { baseOf } = yield* Settings
  const spec = { ...OpenApi.fromApi(FileIoApi.FileIoApi), servers: [{ url: BASE }] }
  const { responses, security } = spec.paths["/"]!.post!
  const schemaOf = (status: "200" | "400"): object => responses[status]!.content!["application/json"]!.schema!
  const uploadsPaths = UploadsApi.paths(security, { error: schemaOf("400"), details: schemaOf("200") })
  // Both are long to make, so only the address in them is put in.
  const statusPaths = StatusApi.paths(security, schemaOf("400"))
  const json = JSON.stringify({ ...spec, paths: { ...spec.paths, ...uploadsPaths, ...statusPaths } })
  const html = page(spec, BASE)
  const add = (path: `/${string}`, respond: (base: string) => HttpServerResponse.HttpServerResponse) =>
    router.add("GET", path, Effect.map(HttpServerRequest.HttpServerRequest, (request) => respond(baseOf(request))))
  // Responses that nobody reads share one copy of its bytes, since most requests name the same address.
  let last = { base: BASE, bytes: Buffer.from(json) }
  const bytesFor = (base: string): Uint8Array => {
    if (last.base !== base) last = { base, bytes: Buffer.from(json.replaceAll(BASE, () => base)) }
    return last.bytes
  }
  yield* add("/openapi.json", (base) =>
    HttpServerResponse.uint8Array(bytesFor(base), {
      contentType: "application/json; charset=utf-8",
      headers: { ...shared, "access-control-allow-origin": "*" }
    }))
  yield* add("/developers", (base) => Browser.html(html.replaceAll(BASE, () => escape(base)), 200, shared))
}))
