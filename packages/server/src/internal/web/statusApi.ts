/** The description of a file's status, an extension of the contract. */

export const DESCRIPTION =
  "The status of a file, which takes nothing: `state` is `available`, `downloading`, or `interrupted` where this browser's own download " +
  "broke. With the `Delete-Token` of the upload it also says what became of a file that is gone: `downloaded`, `expired` or `deleted`."

const parameters = [
  { name: "key", in: "path", required: true, description: "Key of the file", schema: { type: "string" } },
  {
    name: "Delete-Token",
    in: "header",
    required: false,
    description: "The `deleteToken` of the upload",
    schema: { type: "string" }
  }
]

const schema = {
  type: "object",
  properties: {
    success: { type: "boolean", const: true },
    status: { type: "integer", const: 200 },
    state: {
      type: "string",
      enum: ["available", "downloading", "interrupted", "downloaded", "expired", "deleted"]
    },
    yours: { type: "boolean", description: "Whether this browser may begin its own download again" },
    seconds: {
      type: ["integer", "null"],
      description: "For how long it may do so; or after which time the file may be available again"
    },
    name: { type: "string" },
    title: { type: ["string", "null"] },
    size: { type: "integer" },
    mimeType: { type: "string" },
    expires: { type: ["string", "null"] },
    downloads: { type: "integer" },
    maxDownloads: { type: ["integer", "null"] },
    attempts: { type: "integer" },
    lastAttempt: { type: ["string", "null"] }
  },
  required: ["success", "status", "state", "yours", "seconds"]
}

/** The path in the description of the API. `security` is that of an upload. */
export const paths = (security: ReadonlyArray<object>, error: object) => {
  const envelope = (description: string) => ({ description, content: { "application/json": { schema: error } } })
  return {
    "/status/{key}": {
      get: {
        operationId: "fileStatus",
        tags: ["status"],
        description: DESCRIPTION,
        parameters,
        security,
        responses: {
          "200": { description: "The status", content: { "application/json": { schema } } },
          "401": envelope("The API key is missing or unknown"),
          "404": envelope("No such file, or it is gone, and the token is missing or wrong"),
          "429": envelope("Too many requests; see `Retry-After`")
        }
      }
    }
  }
}
