/**
 * A client of "Resumable Uploads for HTTP" over raw sockets: it can stop in the middle of a body, and records interim
 * responses.
 */
import * as Net from "node:net"

export interface Reply {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly text: string
  /** Interim responses before it: the status, and the headers. */
  readonly interim: ReadonlyArray<{ readonly status: number; readonly headers: Readonly<Record<string, string>> }>
}

export interface Asked {
  readonly method: string
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Buffer
  /** Bytes of the body to send before the connection is ended; all by default. */
  readonly cut?: number
  /** Called when these bytes were handed to the system; the connection is ended when it resolves. */
  readonly beforeEnd?: () => Promise<void>
}

const parse = (text: string): Reply => {
  const interim: Array<Reply["interim"][number]> = []
  for (let rest = text;;) {
    const end = rest.indexOf("\r\n\r\n")
    if (end === -1) return { status: 0, headers: {}, text: "", interim }
    const [first = "", ...lines] = rest.slice(0, end).split("\r\n")
    const status = Number(first.split(" ")[1])
    const headers = Object.fromEntries(lines.map((line) => {
      const colon = line.indexOf(":")
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }))
    rest = rest.slice(end + 4)
    if (status >= 200) return { status, headers, text: rest, interim }
    interim.push({ status, headers })
  }
}

/**
 * Sends a request over its own connection. Resolves when the server has closed it, so nothing of the request is left to read.
 */
export const ask = (url: string, asked: Asked): Promise<Reply> =>
  new Promise((resolve) => {
    const { body = Buffer.alloc(0), cut, headers = {}, method, path } = asked
    const { host, hostname, port } = new URL(url)
    const fields = {
      host,
      ...(cut === undefined ? { connection: "close" } : {}),
      ...(body.length > 0 || method === "POST" ? { "content-length": String(body.length) } : {}),
      ...headers
    }
    const head = `${method} ${path} HTTP/1.1\r\n${
      Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`).join("")
    }\r\n`
    let received = ""
    // The server continues after our side has ended, so its response to a part can still be read.
    const socket = Net.connect({ host: hostname, port: Number(port), allowHalfOpen: true })
    socket.setEncoding("latin1")
    socket.on("data", (text: string) => received += text)
    socket.on("error", () => {})
    socket.on("end", () => socket.end())
    socket.on("close", () => resolve(parse(received)))
    socket.write(head)
    socket.write(body.subarray(0, cut ?? body.length), () => {
      if (cut !== undefined) void Promise.resolve(asked.beforeEnd?.()).then(() => socket.end())
    })
  })

export const PARTIAL = { "content-type": "application/partial-upload" }

/** The offset of an upload, and whether it is complete. */
export const offsetOf = async (url: string, path: string) => {
  const { headers, status } = await ask(url, { method: "HEAD", path })
  return { status, offset: Number(headers["upload-offset"]), isComplete: headers["upload-complete"] === "?1", headers }
}

/** Appends from the upload's offset, as its last part. */
export const finish = (url: string, path: string, body: Buffer, offset: number, headers: Record<string, string> = {}) =>
  ask(url, {
    method: "PATCH",
    path,
    headers: { ...PARTIAL, "upload-offset": String(offset), "upload-complete": "?1", ...headers },
    body: body.subarray(offset)
  })
