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

/** `curl` commands that work as they are, one per call. */
const examples = (publicUrl: string): Readonly<Record<string, string>> => ({
  upload:
    `curl -F file=@photo.jpg '${publicUrl}/?expires=1w'\ncurl -T photo.jpg '${publicUrl}/'\ncurl --data 'text=see you at eight' '${publicUrl}/'`,
  list: `curl -u "$KEY:" '${publicUrl}/?search=photo&sort=-size&limit=10'`,
  me: `curl -u "$KEY:" '${publicUrl}/me'`,
  download: `curl -OJ '${publicUrl}/KEY'`,
  replace: `curl -u "$KEY:" -X PUT -F file=@photo.jpg -F maxDownloads=1 '${publicUrl}/KEY'`,
  update: `curl -u "$KEY:" -X PATCH -F expires=2w '${publicUrl}/KEY'`,
  delete: `curl -u "$KEY:" -X DELETE '${publicUrl}/KEY'\ncurl -H "Delete-Token: $TOKEN" -X DELETE '${publicUrl}/KEY'`
})

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
${
    table(
      [code("/uploads/{upload}"), "meaning"],
      rows.map(([method, { description }]) => row([code(method), prose(description)]))
    )
  }
</section>`
}

const page = (spec: OpenApi.OpenAPISpec, publicUrl: string): string => {
  const lines = examples(publicUrl)
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
  const sections = operations.map(({ method, operation, path }) => {
    const id = operation.operationId
    const example = lines[id]
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
    ) =>
      row([
        code(status),
        prose(response.description ?? "")
      ])
    )
    const open = (operation.security as ReadonlyArray<object>).some((scheme) => Object.keys(scheme).length === 0)
    return `<section class="card" id="${escape(id)}">
<h2>${code(`${method} ${path}`)}</h2>
<p>${prose(operation.description ?? "")} ${open ? "A key is optional." : "Needs a key."}</p>
${example === undefined ? "" : `<pre><code>${escape(example)}</code></pre>`}
${table(["in the query", "meaning"], given("query"))}
${table(["header", "meaning"], given("header"))}
${bodies}
${table(["status", "meaning"], responses)}
</section>`
  })
  return document({
    language: english,
    title: `${spec.info.title} for developers`,
    root: "./",
    broad: true,
    body: trusted(`<div><h1 tabindex="-1">${escape(spec.info.title)} for developers</h1>
<p class="lead">${escape(spec.info.description ?? "")} The base is ${
      code(publicUrl)
    }; the machine-readable form of this page is
<a href="openapi.json">openapi.json</a>.</p></div>
<p>A key goes as ${code("Authorization: Bearer KEY")}, or as the user name of HTTP Basic with any password.
Every refusal is JSON: ${
      code("{\"success\": false, \"status\": 404, \"code\": \"FILE_NOT_FOUND\", \"message\": \"…\"}")
    }.</p>
${sections.join("\n")}
${uploads()}
<section class="card" id="status">
<h2>${code("GET /status/{key}")}</h2>
<p>${prose(StatusApi.DESCRIPTION)}</p>
</section>
<section class="card" id="codes">
<h2>Error codes</h2>
<p>Every call can fail with ${[...common].map(code).join(", ")}. ${code("help")} of an error links here.</p>
${
      table(
        ["code", "meaning"],
        Object.entries(Refusal.CODES).map(([name, meaning]) => row([code(name), prose(meaning)], name))
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
    if (last.base !== base) last = { base, bytes: Buffer.from(json.replaceAll(BASE, base)) }
    return last.bytes
  }
  yield* add("/openapi.json", (base) =>
    HttpServerResponse.uint8Array(bytesFor(base), {
      contentType: "application/json; charset=utf-8",
      headers: { ...shared, "access-control-allow-origin": "*" }
    }))
  yield* add("/developers", (base) => Browser.html(html.replaceAll(BASE, escape(base)), 200, shared))
}))
