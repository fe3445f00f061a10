/** Passes requests on to a host, for `NodeFaultHost.makeProxy`. */
import type * as MemoryHost from "@effect-fileio/client/testing/MemoryHost"
import { once } from "node:events"
import * as Http from "node:http"
import * as Https from "node:https"

type Head = Pick<MemoryHost.Request, "method" | "target" | "headers">

/** Headers of one connection (RFC 9110, 7.6.1), and those that are set again for the forwarded request. */
const OWN = new Set(["connection", "keep-alive", "transfer-encoding", "content-length", "host", "expect"])

const headersOf = (message: Http.IncomingMessage): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(message.headers).flatMap(([name, value]) =>
      name === "connection" || name === "keep-alive" || name === "transfer-encoding" || value === undefined
        ? []
        : [[name, Array.isArray(value) ? value.join(", ") : value]]
    )
  )

/** Sends a request with a whole body, and gives the response, whose body is not read yet. */
const ask = async (host: URL, { headers, method, target }: Head, body: Uint8Array): Promise<Http.IncomingMessage> => {
  const kept = Object.entries(headers).filter(([name]) => !OWN.has(name))
  const hasBody = body.length > 0 || headers["content-length"] !== undefined
  const onward = (host.protocol === "https:" ? Https : Http).request(new URL(target, host), {
    method,
    agent: false,
    headers: { ...Object.fromEntries(kept), ...(hasBody ? { "content-length": body.length } : {}) }
  })
  onward.end(body)
  const [response] = await once(onward, "response") as [Http.IncomingMessage]
  // What breaks later ends the reading below, and the response to the client with it.
  onward.on("error", () => {})
  return response
}

/**
 * The response of a host, read up to `most` bytes of its body. The connection to the host ends with `settle`, so a host sees a
 * download that was cut for the client as one that broke.
 */
export const respond = async (
  host: URL,
  head: Head,
  body: Uint8Array,
  most: number
): Promise<MemoryHost.HostResponse> => {
  const response = await ask(host, head, body)
  const chunks: Array<Buffer> = []
  let length = 0
  for await (const chunk of response.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
    if (length >= most) break
  }
  return {
    status: response.statusCode!,
    headers: { "content-length": String(length), ...headersOf(response) },
    body: Buffer.concat(chunks),
    settle: () => void response.destroy()
  }
}

/** Passes the response of a host on as it comes; either side that closes ends the other. */
export const pass = async (
  host: URL,
  head: Head,
  body: Uint8Array,
  client: Http.ServerResponse
): Promise<void> => {
  const response = await ask(host, head, body)
  client.writeHead(response.statusCode!, headersOf(response))
  client.once("close", () => response.destroy())
  response.once("close", () => {
    if (!response.complete) client.destroy()
  })
  response.on("error", () => {})
  response.pipe(client)
}
