import { assert, describe, it } from "@effect/vitest"
import * as FetchPieces from "../src/internal/request/fetchPieces.ts"

const HEADERS = { "upload-complete": "?1", "upload-offset": "7", "content-type": "application/partial-upload" }

const streamOf = (...chunks: ReadonlyArray<Uint8Array<ArrayBuffer>>) =>
  new ReadableStream<Uint8Array<ArrayBuffer>>({
    start: (controller) => {
      for (const chunk of chunks) controller.enqueue(chunk)
      controller.close()
    }
  })

interface Sent {
  readonly offset: number
  readonly complete: string
  readonly bytes: Uint8Array
}

/** A host that keeps the pieces, and answers as `answer` says. */
const host = (answer: (sent: ReadonlyArray<Sent>) => Response) => {
  const sent: Array<Sent> = []
  const fetch = async (_: unknown, init?: RequestInit): Promise<Response> => {
    const headers = new Headers(init?.headers)
    sent.push({
      offset: Number(headers.get("upload-offset")),
      complete: headers.get("upload-complete")!,
      bytes: await new Response(init?.body as Blob).bytes()
    })
    return answer(sent)
  }
  return { fetch, sent }
}

const send = (fetch: typeof globalThis.fetch, body: ReadableStream<Uint8Array<ArrayBuffer>>) =>
  FetchPieces.send(fetch, "http://host/uploads/x", { method: "PATCH", headers: new Headers(HEADERS), body }, 7)

const stored = (sent: ReadonlyArray<Sent>) => {
  const { bytes, complete, offset } = sent.at(-1)!
  return complete === "?1"
    ? Response.json({ success: true })
    : new Response(null, { status: 204, headers: { "upload-offset": String(offset + bytes.length) } })
}

describe("an upload in pieces", () => {
  it("is only the last request of a resumable upload", () => {
    const offsetOf = (headers: Record<string, string>) => FetchPieces.offsetOf(new Headers(headers))
    assert.strictEqual(offsetOf(HEADERS), 7)
    assert.isUndefined(offsetOf({ ...HEADERS, "upload-complete": "?0" }))
    assert.isUndefined(offsetOf({ "content-type": "multipart/form-data" }))
  })

  it("sends every byte once, in order, and says which piece is the last", async () => {
    const whole = Uint8Array.from({ length: 3_000_000 }, (_, index) => index % 251)
    // Chunks that end before, at and after the ends of pieces, and empty ones.
    const cuts = [0, 1, 1, 524_288, 524_289, 2_000_000, 3_000_000]
    const { fetch, sent } = host(stored)
    const chunks = cuts.slice(1).map((end, index) => whole.slice(cuts[index], end))
    const response = await send(fetch, streamOf(...chunks))
    assert.deepStrictEqual(await response.json(), { success: true })
    assert.isAbove(sent.length, 1)
    let offset = 7
    for (const piece of sent) {
      assert.strictEqual(piece.offset, offset)
      offset += piece.bytes.length
    }
    assert.strictEqual(sent[0]!.bytes.length, 524_288)
    assert.deepStrictEqual(sent.map(({ complete }) => complete), [...sent.slice(1).map(() => "?0"), "?1"])
    assert.isTrue(Buffer.concat(sent.map(({ bytes }) => bytes)).equals(Buffer.from(whole)))
  })

  it("whose bytes end with a piece has no empty last piece", async () => {
    const { fetch, sent } = host(stored)
    await send(fetch, streamOf(new Uint8Array(524_288)))
    assert.deepStrictEqual(sent.map(({ bytes, complete }) => [bytes.length, complete]), [[524_288, "?1"]])
  })

  it("stops at the first response that is no success, and stops reading", async () => {
    const { fetch, sent } = host(() => new Response("no", { status: 413 }))
    let isCancelled = false
    const endless = new ReadableStream<Uint8Array<ArrayBuffer>>({
      pull: (controller) => controller.enqueue(new Uint8Array(100_000)),
      cancel: () => {
        isCancelled = true
      }
    })
    assert.strictEqual((await send(fetch, endless)).status, 413)
    assert.strictEqual(sent.length, 1)
    assert.isTrue(isCancelled)
  })

  it("breaks where the host stored something else than was sent", async () => {
    const { fetch } = host(() => new Response(null, { status: 204, headers: { "upload-offset": "8" } }))
    const error = await send(fetch, streamOf(new Uint8Array(1_000_000))).catch((error: unknown) => error)
    assert.instanceOf(error, TypeError)
  })
})
