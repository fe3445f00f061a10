/**
 * Sends the body of a resumable upload in pieces, over a `fetch` that cannot stream a request's body, as in browsers. A piece
 * takes about two seconds, so the progress is that of the network, memory holds one piece, and no time-out ends a slow upload.
 */

type Fetch = typeof globalThis.fetch

const FIRST_BYTES = 512 * 1024
const LEAST_BYTES = 128 * 1024
const MOST_BYTES = 32 * 1024 * 1024
const PIECE_MILLIS = 2000
/** A fast first piece says little about the next ones. */
const MOST_GROWTH = 8

/** The offset of the last PATCH of a resumable upload, which may be divided; `undefined` for every other one. */
export const offsetOf = (headers: Headers): number | undefined => {
  const offset = headers.get("upload-offset")
  return headers.get("upload-complete") === "?1" && /^\d+$/.test(offset ?? "")
    ? Number(offset)
    : undefined
}

/** Reads pieces of a stream; each says whether it is the last one. */
const reader = (body: ReadableStream<Uint8Array<ArrayBuffer>>) => {
  const source = body.getReader()
  let held: Uint8Array<ArrayBuffer> | undefined
  const next = async (): Promise<Uint8Array<ArrayBuffer> | undefined> => {
    for (;;) {
      const { done, value } = await source.read()
      if (done) return undefined
      if (value.length > 0) return value
    }
  }
  const read = async (size: number) => {
    const parts: Array<Uint8Array<ArrayBuffer>> = []
    let length = 0
    let chunk = held ?? await next()
    for (; chunk !== undefined && length < size; chunk = held ?? await next()) {
      const part = chunk.subarray(0, size - length)
      parts.push(part)
      length += part.length
      held = part.length < chunk.length ? chunk.subarray(part.length) : undefined
    }
    held = chunk
    return { blob: new Blob(parts), isLast: chunk === undefined }
  }
  return { read, cancel: () => source.cancel().catch(() => undefined) }
}

/** Sends the pieces one after the other. The response is that of the last one, or the first that is no success. */
export const send = async (
  fetch: Fetch,
  input: Parameters<Fetch>[0],
  init: Omit<RequestInit, "headers" | "body"> & {
    readonly headers: Headers
    readonly body: ReadableStream<Uint8Array<ArrayBuffer>>
  },
  from: number
): Promise<Response> => {
  const source = reader(init.body)
  let offset = from
  let size = FIRST_BYTES
  try {
    for (;;) {
      const { blob, isLast } = await source.read(size)
      const headers = new Headers(init.headers)
      headers.set("upload-offset", String(offset))
      headers.set("upload-complete", isLast ? "?1" : "?0")
      const began = performance.now()
      const response = await fetch(input, { ...init, headers, body: blob })
      if (isLast || !response.ok) return response
      offset += blob.size
      const stored = response.headers.get("upload-offset")
      // The next request asks the host where to continue.
      if (stored !== String(offset)) throw new TypeError(`the host stored up to ${stored}, and ${offset} were sent`)
      const rate = blob.size / Math.max(1, performance.now() - began)
      size = Math.ceil(Math.max(LEAST_BYTES, Math.min(MOST_BYTES, blob.size * MOST_GROWTH, rate * PIECE_MILLIS)))
    }
  } finally {
    await source.cancel()
  }
}
