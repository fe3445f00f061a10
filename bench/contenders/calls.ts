/**
 * Small calls, one after another, or PER_SECOND of them a second. `node calls.ts sdk|undici me|upload URL COUNT [PER_SECOND]`
 */
import { FileBody, FileIo, RateLimit } from "@effect-fileio/client"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { Effect, Redacted } from "effect"
import { setTimeout } from "node:timers/promises"
import { Agent, request } from "undici"

const [, , contender, what, baseUrl, count_, perSecond_] = process.argv
const count = Number(count_)
const perSecond = Number(perSecond_ ?? Infinity)
const content = new Uint8Array(4096).fill(7)
/** A warm-up, as in a long-running program: V8 has compiled frequent code. */
const WARM_UP = Math.min(5000, 3 * count)

/** Makes the calls, and returns wall and processor seconds of the later ones. */
const measure = async (call: () => Promise<unknown>) => {
  for (let n = 0; n < WARM_UP; n++) await call()
  const began = performance.now()
  const used = process.cpuUsage()
  for (let n = 0; n < count; n++) {
    await call()
    if (perSecond < Infinity) await setTimeout(Math.max(0, began + (n + 1) * 1000 / perSecond - performance.now()))
  }
  const { system, user } = process.cpuUsage(used)
  const wallS = (performance.now() - began) / 1000
  return { wallS, perSecond: Math.round(count / wallS), cpuMicrosEach: Math.round((system + user) / count) }
}

const sdk = () =>
  Effect.runPromise(
    Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      const run = Effect.runPromiseWith(yield* Effect.context())
      return yield* Effect.promise(() =>
        measure(() =>
          what === "me"
            ? run(fileIo.me)
            : run(fileIo.upload(FileBody.bytes(content, { name: "bench.bin" })))
        )
      )
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
  const figures = await measure(async () => {
    const response = what === "me"
      ? await request(`${baseUrl}/me`, { dispatcher, headers: { authorization: "Bearer BENCH" } })
      : await request(`${baseUrl}/`, {
        dispatcher,
        method: "POST",
        headers: { authorization: "Bearer BENCH", "content-type": `multipart/form-data; boundary=${boundary}` },
        body
      })
    JSON.parse(await response.body.text())
  })
  await dispatcher.close()
  return figures
}

console.log(JSON.stringify(await (contender === "sdk" ? sdk() : undici())))
