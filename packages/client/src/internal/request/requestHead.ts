/** The method, address and headers of every request to the host; the transport adds those of a body. */
import type * as HttpMethod from "effect/http/HttpMethod"
import type * as Transport from "../../Transport.ts"
import type { Credentials } from "./credentials.ts"
import type { Endpoint } from "./endpoint.ts"

export type RequestHead = Pick<Transport.Request, "method" | "url" | "headers">

export const requestHead = (
  { credentials, endpoint }: { readonly credentials: Credentials; readonly endpoint: Endpoint },
  method: HttpMethod.HttpMethod,
  path: string,
  accept: "application/json" | "*/*",
  headers: Readonly<Record<string, string>> = {}
): RequestHead => ({
  method,
  url: endpoint.baseUrl + path,
  // The bytes of a file must not be encoded, so that they can be counted and resumed.
  headers: {
    ...credentials.authorize({ "user-agent": "effect-fileio", "accept-encoding": "identity", accept }),
    ...headers
  }
})
