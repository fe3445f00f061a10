/**
 * The description of resumable uploads, an extension of the contract: their address is no endpoint that a client is derived
 * for.
 */

const header = (name: string, required: boolean, description: string) => ({
  name,
  in: "header",
  required,
  description,
  schema: { type: "string" }
})

const parameters = [{
  name: "upload",
  in: "path",
  required: true,
  description: "The secret of the upload, from the `Location` of its first response",
  schema: { type: "string" }
}]

/** The schemas of the contract that these paths share, as its description names them. */
interface Schemas {
  readonly error: object
  readonly details: object
}

const envelopeOf = ({ error }: Schemas) => (description: string) => ({
  description,
  content: { "application/json": { schema: error } }
})

/** Errors of every call. */
const commonOf = (envelope: ReturnType<typeof envelopeOf>) => ({
  "400": envelope("The request is wrong; the message says what is allowed"),
  "401": envelope("The API key is missing or unknown"),
  "404": envelope("No such upload: it never existed, was cancelled, belongs to another account, or has expired"),
  "429": envelope("Too many requests; see `Retry-After`"),
  "500": envelope("The host failed")
})

const integer = (description: string) => ({ description, schema: { type: "integer" } })
const text = (description: string) => ({ description, schema: { type: "string" } })

const state = {
  "Upload-Complete": text("`?1` where the upload is complete, `?0` where more can come"),
  "Upload-Offset": integer("Bytes that are stored for certain"),
  "Upload-Length": integer("Bytes of the whole, once they are known"),
  "Upload-Limit": text(
    "Such as `max-size=1000000, max-age=3600`: the largest upload, and for how many seconds this one lives"
  )
}

/** How a request begins a resumable upload, for the page and the description. */
export const DESCRIPTION =
  "An extension of the contract: an upload that breaks goes on where it stopped, as \"Resumable Uploads for HTTP\" has it. " +
  "`POST /`, and `PUT` or `PATCH` of a file, begin one with the header `Upload-Complete`: `?1` where the body is all of the file, `?0` " +
  "where more will come. Its address is a secret; it comes as the `Location` of a `104`, or of the `201` after a part. `OPTIONS` tells " +
  "whether a host can do it."

/** The paths in the description of the API. `security` is that of an upload. */
export const paths = (security: ReadonlyArray<object>, schemas: Schemas) => {
  const envelope = envelopeOf(schemas)
  const common = commonOf(envelope)
  return {
    "/uploads/{upload}": {
      description: DESCRIPTION,
      head: {
        operationId: "uploadState",
        tags: ["uploads"],
        description: "Tells how much of a resumable upload is stored. A request that still sends to it is ended first.",
        parameters,
        security,
        responses: { "204": { description: "The state of the upload", headers: state }, ...common }
      },
      patch: {
        operationId: "uploadAppend",
        tags: ["uploads"],
        description: "Appends to a resumable upload, and with `Upload-Complete: ?1` ends it.",
        parameters: [
          ...parameters,
          header("Upload-Offset", true, "Where the body begins: the `Upload-Offset` of the last response"),
          header("Upload-Complete", true, "`?1` where the body ends the file, `?0` where more will come"),
          header("Upload-Length", false, "Bytes of the whole")
        ],
        requestBody: {
          content: { "application/partial-upload": { schema: { type: "string", format: "binary" } } }
        },
        security,
        responses: {
          "200": {
            description: "The response that the upload, or the change of the file, would have had by one request",
            content: { "application/json": { schema: schemas.details } },
            headers: state
          },
          "204": { description: "The bytes are stored", headers: state },
          ...common,
          "409": envelope("The offset is not the upload's; `Upload-Offset` says the right one"),
          "413": envelope("Beyond the plan's size or storage; `limit`, `asked` and `allowed` say which"),
          "415": envelope("The body is not `application/partial-upload`"),
          "507": envelope("The host has no room")
        }
      },
      delete: {
        operationId: "uploadCancel",
        tags: ["uploads"],
        description: "Gives a resumable upload up. A file that it has become stays.",
        parameters,
        security,
        responses: { "204": { description: "It is cancelled" }, ...common }
      }
    }
  }
}
