/** Every option that takes a duration takes the same forms, and says which of them are allowed. */
import { FetchFileIo, FileBody, FileIo, RateLimit, RetryPolicy } from "@effect-fileio/client"
import { FileIoTest } from "@effect-fileio/client/testing"
import type { DurationInput } from "@effect-fileio/core"
import { NodeFileIo, NodeHttp, NodeRateLimit } from "@effect-fileio/platform-node"
import { FileIo as Promises } from "@effect-fileio/promise"
import { FileIoServer, ServerOptions } from "@effect-fileio/server"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Config, ConfigProvider, Duration, Effect, Exit, Layer, Result, Stream } from "effect"
import { glob, readFile } from "node:fs/promises"
import { join } from "node:path"
import { complete } from "../../packages/server/src/internal/options/completeOptions.ts"
import { root } from "../packages/pack.ts"

type Input = DurationInput.DurationInput
type Use = (input: Input) => Effect.Effect<unknown, unknown>

const baseUrl = "http://127.0.0.1:1"
const build = <A, E>(layer: Layer.Layer<A, E>) => Effect.scoped(Layer.build(layer))
const sync = (use: (input: Input) => unknown): Use => (input) => Effect.sync(() => use(input))

/** Calls a host in memory. */
const call = <A, E>(effect: Effect.Effect<A, E, FileIo.FileIo>) => Effect.provide(effect, FileIoTest.layer())
const limited = (limit: RateLimit.RateLimit) =>
  call(RateLimit.withRateLimit(FileIo.FileIo.use((fileIo) => fileIo.me), limit))

const clients: Readonly<Record<string, Use>> = {
  "FileIo: firstByteTimeout": (input) => build(FetchFileIo.layer({ baseUrl, firstByteTimeout: input })),
  "FileIo: idleTimeout": (input) => build(FetchFileIo.layer({ baseUrl, idleTimeout: input })),
  "NodeFileIo: connectTimeout": (input) => build(NodeFileIo.layer({ baseUrl, connectTimeout: input })),
  "NodeFileIo.layerSockets: connectTimeout": (input) =>
    build(NodeFileIo.layerSockets({ baseUrl, connectTimeout: input })),
  "NodeHttp.layerUndici: connectTimeout": (input) => build(NodeHttp.layerUndici({ connectTimeout: input })),
  "FileIo.make of promises: idleTimeout": (input) =>
    Effect.promise(() => Promises.make({ baseUrl, idleTimeout: input }).then((fileIo) => fileIo.close())),
  "RetryPolicy.make: base": sync((base) => RetryPolicy.make({ base })),
  "RetryPolicy.make: maxDelay": sync((maxDelay) => RetryPolicy.make({ maxDelay })),
  "RetryPolicy.make: budget": sync((budget) => RetryPolicy.make({ budget })),
  "RateLimit.learned: lifetime": (lifetime) => limited(RateLimit.learned({ lifetime })),
  "RateLimit.fixed: window": (window) => limited(RateLimit.fixed(100, window)),
  "awaitDownloaded: every": (every) =>
    call(RateLimit.withRateLimit(
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const { key } = yield* fileIo.upload(FileBody.text("x"))
        yield* Stream.runDrain(Stream.take(fileIo.awaitDownloaded(key, { every }), 1))
      }),
      RateLimit.unlimited
    ))
}

const durations = Object.entries<ServerOptions.Row<unknown>>(ServerOptions.table).filter(([, { form }]) =>
  form === "TIME"
)

const fails = (use: Use, input: Input): Effect.Effect<string> =>
  Effect.map(Effect.exit(use(input)), (exit) => {
    if (Exit.isSuccess(exit)) assert.fail(`accepted ${String(input)}`)
    const error = Cause.squash(exit.cause)
    return error instanceof Error ? error.message : String(error)
  })

const DAY: ReadonlyArray<Input> = ["1 day", "1d", "1 d", "24h", 86_400_000, { days: 1 }, Duration.days(1)]

describe("a duration in an option of the SDK", () => {
  it.effect.each(Object.entries(clients))(
    "%s: has every form, and a clear error",
    ([name, use]) =>
      Effect.gen(function*() {
        for (const input of DAY) yield* use(input)
        for (const wrong of ["soon", "1", "-1 seconds", "1M", "1 fortnight"]) {
          const message = yield* fails(use, wrong as Input)
          assert.match(message, /allowed: |Invalid/, wrong)
          assert.notMatch(message, /Unexpected|undefined|TypeError/, wrong)
          const option = name.split(" ").at(-1)!
          assert.include(message, option === "window" || option === "lifetime" ? "duration" : option, wrong)
        }
      })
  )

  it.effect("that is wrong ends the connection to Redis before it begins, whatever happens without Redis", () =>
    Effect.gen(function*() {
      for (const whenAway of ["fail", { processes: 2 }] as const) {
        const layer = NodeRateLimit.layerRedis({ url: "redis://127.0.0.1:1", connectTimeout: "1q" as Input, whenAway })
        assert.match(yield* fails(() => build(layer), "1q" as Input), /^invalid connectTimeout: allowed: /)
      }
    }))
})

describe("a duration in an option of the server", () => {
  it.each(durations.map(([name]) => name))("%s has every form, and a clear error", (name) => {
    for (const input of DAY) {
      const options = Result.getOrThrow(complete({ [name]: input })) as unknown as Record<string, Duration.Duration>
      assert.strictEqual(Duration.toMillis(options[name]!), 86_400_000)
    }
    for (const wrong of ["soon", "1M", -1, Number.NaN, "Infinity"]) {
      const { message } = Result.getOrThrow(Result.flip(complete({ [name]: wrong as Input })))
      assert.match(message, new RegExp(`^invalid ${name}: allowed: a time`))
    }
  })

  it.each(durations.map(([, row]) => row))("$flag has every form as a flag and a variable", (row) => {
    for (const text of ["1 day", "1d", "24 h", "P1D", "86400"]) {
      assert.strictEqual(Duration.toMillis(Result.getOrThrow(row.parse(text)) as Duration.Duration), 86_400_000)
    }
  })

  it("may be a plan's longest life", () => {
    for (const maxExpires of DAY) {
      const { plans } = Result.getOrThrow(complete({ plans: { team: { maxExpires } } }))
      assert.strictEqual(Duration.toMillis(plans!["team"]!.maxExpires!), 86_400_000)
    }
    assert.isNull(Result.getOrThrow(complete({ plans: { team: { maxExpires: null } } })).plans!["team"]!.maxExpires)
  })

  it.effect("that is wrong is an error of the server's layer", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(build(FileIoServer.layerTemporary({ grace: "soon" as Input })))
      assert.strictEqual(error._tag, "InvalidOption")
    }))
})

it.effect.each(["FIRST_BYTE_TIMEOUT", "IDLE_TIMEOUT", "CONNECT_TIMEOUT"])(
  "FILEIO_%s has every form",
  (name) =>
    Effect.gen(function*() {
      for (const text of ["1 day", "1d", "24 h", "P1D", "86400"]) {
        const env = { FILEIO_BASE_URL: baseUrl, [`FILEIO_${name}`]: text }
        const options = yield* Config.unwrap(NodeFileIo.config).parse(ConfigProvider.fromEnv({ env }))
        const found = Object.values(options).filter((value) =>
          Duration.isDuration(value) && Duration.toMillis(value) === 86_400_000
        )
        assert.lengthOf(found, 1, text)
      }
    })
)

it("no public option takes only the forms of Effect", async () => {
  const found: Array<string> = []
  for await (const path of glob("packages/*/src/**/*.ts", { cwd: root })) {
    if (path.endsWith("DurationInput.ts")) continue
    const text = await readFile(join(root, path), "utf8")
    // An internal function may take what Effect takes, from the code that calls it.
    const forms = /[\\/]internal[\\/]/.test(path) ? /Duration\.fromInput/ : /Duration\.(?:Input\b|fromInput)/
    if (forms.test(text)) found.push(path)
  }
  assert.deepStrictEqual(found, [])
})
