/** Additions to the OpenAPI description that the schemas cannot express. */

interface Response {
  description?: string
  content?: Record<string, { schema?: object }>
  headers?: Record<string, object>
}

interface Property {
  description?: string
}

interface Operation {
  operationId: string
  parameters: Array<{ name: string; description?: string }>
  requestBody?: { content: Record<string, { schema: { type?: string; properties?: Record<string, Property> } }> }
  security: Array<Record<string, Array<string>>>
  responses: Record<string, Response>
}

interface Spec {
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, object> }
}

const SUCCESS = "Success"

const success = {
  type: "object",
  description: "Fields of every JSON response",
  properties: {
    success: { type: "boolean", const: true, description: "Always true; a refusal says false" },
    status: { type: "integer", const: 200, description: "The HTTP status" }
  },
  required: ["success", "status"]
}

const text = (description: string) => ({ description, schema: { type: "string" } })
const integer = (description: string) => ({ description, schema: { type: "integer" } })

const retryAfter = { "Retry-After": integer("Seconds to wait") }

const range = {
  "Content-Range": text("Which bytes these are, of how many"),
  ETag: text("The lease"),
  "Content-Length": integer("Size in bytes")
}

const download = {
  "200": {
    description: "The bytes",
    headers: {
      "Content-Disposition": text("Name of the file"),
      "Content-Length": integer("Size in bytes"),
      ETag: text("The lease: a request with it as `If-Range`, and a `Range`, may resume this download")
    }
  },
  "206": { description: "The range that was asked for, for the holder of the lease", headers: range },
  "302": {
    description: "For browsers and crawlers: a page with a button. It is never the file",
    headers: { Location: text("Address of the page") }
  },
  "416": { description: "The range is beyond the file" }
}

/** The meaning of query parameters, and of the form fields with the same names: schemas that decode lose their descriptions. */
const FIELDS: Record<string, string> = {
  search: "Text that the file name contains, in any case; at most 1,024 bytes of UTF-8 without control characters",
  offset: "How many files to skip. Default: 0",
  limit: "How many files to list, at most 1,000. Default: 100",
  expires:
    "A period such as `10m` or `2w` (units y Q M w d h m s), an ISO 8601 time, a date (its end, in UTC), or empty for never. In a query, a `+` may stand as it is. Default: 14 days",
  maxDownloads: "How many downloads the file allows: a whole number from 1, or empty for no limit. Default: 1",
  autoDelete: "`true` or `false`: whether the file is deleted once it has expired or is used up. Default: true",
  title: "A title, at most 1,024 bytes of UTF-8 without control characters",
  countFrom: "`last-byte`: a download that breaks is given back; `first-byte`: it counts. Default: last-byte"
}

/** A body of any type other than a form's. */
const raw = {
  schema: {
    type: "string",
    format: "binary",
    description: "The bytes of the file alone, with its type; `Content-Disposition` gives its name"
  }
}

const DESCRIPTIONS: Record<string, string> = {
  upload: "The file is stored",
  list: "A page of the files",
  me: "The account",
  replace: "The file as it is now",
  update: "The file as it is now",
  delete: "The file is deleted"
}

/** Hosts may add fields, and clients may send others: all objects stay open. */
const open = <A>(schema: A): A => {
  if (typeof schema !== "object" || schema === null) return schema
  if (Array.isArray(schema)) return schema.map(open) as A
  return Object.fromEntries(
    Object.entries(schema)
      .filter(([name, value]) => name !== "additionalProperties" || value !== false)
      .map(([name, value]) => [name, open(value)])
  ) as A
}

const described = (properties: Record<string, Property>): Record<string, Property> =>
  Object.fromEntries(
    Object.entries(properties).map(([name, property]) => {
      const description = FIELDS[name]
      return [name, description === undefined ? property : { ...property, description }]
    })
  )

/** The calls that accept a key but do not require one. */
const OPEN = new Set(["upload", "download", "delete"])

/** The secret of a file's sender, an extension of the contract. */
const deleteToken = {
  name: "Delete-Token",
  in: "header",
  required: false,
  description: "The `deleteToken` of the upload, in place of a key",
  schema: { type: "string" }
}

const complete = (operation: Operation): Operation => {
  const responses: Record<string, Response> = {}
  for (const [status, response] of Object.entries(operation.responses)) {
    const content = response.content?.["application/json"]
    const isResponse = status.startsWith("2") && content?.schema !== undefined && operation.operationId !== "delete"
    const description = status === "200" ? DESCRIPTIONS[operation.operationId] : undefined
    responses[status] = {
      ...response,
      ...(description === undefined ? {} : { description }),
      ...(isResponse
        ? {
          content: {
            ...response.content,
            "application/json": {
              ...content,
              schema: { allOf: [{ $ref: `#/components/schemas/${SUCCESS}` }, content.schema!] }
            }
          }
        }
        : {}),
      ...(status === "423" || status === "429" ? { headers: { ...response.headers, ...retryAfter } } : {})
    }
  }
  if (operation.operationId === "download") {
    for (const [status, response] of Object.entries(download)) {
      responses[status] = { ...responses[status], ...response }
    }
  }
  const { requestBody } = operation
  return {
    ...operation,
    parameters: [
      ...operation.parameters.map((parameter) => {
        const description = FIELDS[parameter.name]
        return description === undefined ? parameter : { ...parameter, description }
      }),
      ...(operation.operationId === "delete" ? [deleteToken] : [])
    ],
    ...(requestBody === undefined ? {} : {
      requestBody: {
        ...requestBody,
        content: {
          ...Object.fromEntries(
            Object.entries(requestBody.content).map(([type, { schema, ...rest }]) => [
              type,
              { ...rest, schema: { ...schema, properties: described(schema.properties ?? {}) } }
            ])
          ),
          "application/octet-stream": raw
        }
      }
    }),
    security: OPEN.has(operation.operationId) ? [...operation.security, {}] : operation.security,
    responses
  }
}

/** Adds the success envelope, the headers, and the responses of a download that are no JSON success. */
export const transform = (spec: object): object => {
  const { components, paths } = spec as Spec
  return open({
    ...spec,
    paths: Object.fromEntries(
      Object.entries(paths).map(([path, item]) => [
        path,
        Object.fromEntries(Object.entries(item).map(([method, operation]) => [method, complete(operation)]))
      ])
    ),
    components: {
      ...components,
      schemas: { ...components.schemas, [SUCCESS]: success }
    }
  })
}
