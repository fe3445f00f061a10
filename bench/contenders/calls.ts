/**
 * Many small calls. `node calls.ts sdk|undici me|upload URL COUNT CONCURRENCY`
 */
import { FileBody, FileIo, RateLimit } from "@effect-fileio/client"
import type { FileIoError } from "@effect-fileio/core"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { Effect, Redacted } from "effect"
import { Agent, request } from "undici"

const [, , contender, what, baseUrl, count_, concurrency_] = process.argv
const count = Number(count_)
const concurrency = Number(concurrency_)
const content = new Uint8Array(4096).fill(7)
const warmUp = Math.min(200, count)

const sdk = () =>
  Effect.runPromise(
    Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      const call = what === "me"
        ? Effect.asVoid(fileIo.me)
        : Effect.asVoid(fileIo.upload(FileBody.bytes(content, { name: "bench.bin" })))
      const all = (n: number) => {
        let left = n
        const one: Effect.Effect<void, FileIoError.FileIoError> = Effect.suspend(() =>
          left-- > 0 ? Effect.andThen(call, one) : Effect.void
        )
        return Effect.all(Array.from({ length: concurrency }, () => one), { concurrency: "unbounded", discard: true })
      }
      yield* all(warmUp)
      const began = performance.now()
      yield* all(count)
      return (performance.now() - began) / 1000
    }).pipe(
      Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.unlimited),
      Effect.provide(NodeFileIo.layer({ baseUrl: baseUrl!, apiKey: Redacted.make("BENCH") }))
    )
  )

const undici = async () => {
  const dispatcher = new Agent()
  const boundary = "fileio-bench-boundary"
  const body = Buffer.concat([
    Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="bench.bin"\r\n` +
        "Content-Type: application/octet-stream\r\n\r\n"
    ),
    content,
    Buffer.from(`\r\n--${boundary}--\r\n`)
  ])
  const call = async () => {
    const response = what === "me"
      ? await request(`${baseUrl}/me`, { dispatcher, headers: { authorization: "Bearer BENCH" } })
      : await request(`${baseUrl}/`, {
        dispatcher,
        method: "POST",
        headers: { authorization: "Bearer BENCH", "content-type": `multipart/form-data; boundary=${boundary}` },
        body
      })
    JSON.parse(await response.body.text())
  }
  const all = async (n: number) => {
    let left = n
    await Promise.all(Array.from({ length: concurrency }, async () => {
      while (left-- > 0) await call()
    }))
  }
  await all(warmUp)
  const began = performance.now()
  await all(count)
  const seconds = (performance.now() - began) / 1000
  await dispatcher.close()
  return seconds
}

const wallS = await (contender === "sdk" ? sdk() : undici())
console.log(JSON.stringify({ wallS, perSecond: Math.round(count / wallS) }))
