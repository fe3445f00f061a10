/** Responses of the test host. */
import type { HostResponse } from "../../testing/MemoryHost.ts"

const nothing = () => {}

export const response = (
  status: number,
  contentType: string,
  content: string,
  headers: Readonly<Record<string, string>> = {}
): HostResponse => {
  const body = new TextEncoder().encode(content)
  return {
    status,
    headers: { "content-type": contentType, "content-length": String(body.length), ...headers },
    body,
    settle: nothing
  }
}

export const json = (status: number, content: unknown, headers?: Readonly<Record<string, string>>): HostResponse =>
  response(status, "application/json; charset=utf-8", JSON.stringify(content), headers)

export const html = (status: number): HostResponse =>
  response(
    status,
    "text/html; charset=utf-8",
    "<!doctype html><html><title>A page</title><p>This is not the API.</p></html>"
  )

export const redirect = (location: string): HostResponse => ({
  status: 302,
  headers: { location, "content-length": "0" },
  body: new Uint8Array(0),
  settle: nothing
})

/** An error in the API's envelope. */
export const refusal = (
  status: number,
  code: string,
  message: string,
  extra?: Readonly<Record<string, unknown>>,
  headers?: Readonly<Record<string, string>>
): HostResponse => json(status, { success: false, status, code, message, key: null, ...extra }, headers)

/** Thrown by a handler to end the request with an error response. */
export class Refused {
  readonly response: HostResponse
  constructor(...args: Parameters<typeof refusal>) {
    this.response = refusal(...args)
  }
}
