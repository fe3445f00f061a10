import { FileIo, RateLimit, RetryPolicy } from "@effect-fileio/client"
import * as FileIoError from "@effect-fileio/core/FileIoError"
import { FileKey } from "@effect-fileio/core/FileKey"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Layer, Random, Redacted, Schedule, type Scope } from "effect"
import { HttpClient, HttpClientError } from "effect/http"
import * as RetryAfter from "../src/internal/request/retryAfter.ts"
import { type Content, Failure, mayRepeat, type Stage } from "../src/internal/shared/failure.ts"
import { advance, type Answer, failure, json, refusal, respond } from "./utils/strictHost.ts"

/** A host with scripted responses, which records the time of each request. */
const scripted = (answer: (number: number) => Answer | "refused" | "reset" | "stalled") =>
  Effect.gen(function*() {
    const asked: Array<number> = []
    const client = HttpClient.make((request) =>
      Effect.gen(function*() {
        asked.push(yield* Clock.currentTimeMillis)
        const said = answer(asked.length)
        if (typeof said !== "string") return respond(request, said)
        // Longer than the detection of a stopped process takes, and shorter than the time-out after it.
        if (said === "stalled") yield* Effect.sleep("90 seconds")
        const code = said === "refused" ? "ECONNREFUSED" : "ECONNRESET"
        const cause = Object.assign(new Error(code), { code })
        return yield* Effect.fail(
          new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
        )
      })
    )
    const fileIo = yield* FileIo.make({ baseUrl: "http://scripted.localhost", apiKey: Redacted.make("KEY") }).pipe(
      Effect.provide(Layer.succeed(HttpClient.HttpClient, client)),
      // Other tests are about the rate limit.
      Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.unlimited)
    )
    return { fileIo, asked }
  })

const list = json(200, { success: true, status: 200, nodes: [], count: 0, size: 0 })

/** The delays between the requests. */
const delays = (asked: ReadonlyArray<number>) => asked.slice(1).map((time, n) => time - asked[n]!)

const run = <A>(effect: Effect.Effect<A, FileIoError.FileIoError>, time: Duration.Input = "1 hour") =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(Effect.exit(effect))
    yield* advance(time)
    return yield* Fiber.join(fiber)
  })

describe("the default policy", () => {
  it.effect("repeats four times, each delay about twice as long", () =>
    Effect.gen(function*() {
      const { asked, fileIo } = yield* scripted(() => failure(500))
      const exit = yield* run(fileIo.list())
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual(asked.length, 5)
      delays(asked).forEach((delay, n) => {
        const base = 250 * 2 ** n
        assert.isAtLeast(delay, base * 0.8)
        assert.isAtMost(delay, base * 1.2 + 1)
      })
    }))

  it.effect("takes its jitter from Random", () =>
    Effect.gen(function*() {
      const once = Effect.gen(function*() {
        const { asked, fileIo } = yield* scripted(() => failure(500))
        yield* run(fileIo.list())
        return delays(asked).map(Math.round)
      })
      const seeded = yield* Random.withSeed(once, "a seed")
      assert.deepStrictEqual(yield* Random.withSeed(once, "a seed"), seeded)
      assert.notDeepEqual(yield* Random.withSeed(once, "another seed"), seeded)
    }))

  it.effect("stops at the first success, and does not repeat what would fail again", () =>
    Effect.gen(function*() {
      const good = yield* scripted((number) => number < 3 ? failure(503) : list)
      assert.isTrue(Exit.isSuccess(yield* run(good.fileIo.list())))
      assert.strictEqual(good.asked.length, 3)
      const bad = yield* scripted(() => failure(401))
      yield* run(bad.fileIo.list())
      assert.strictEqual(bad.asked.length, 1)
    }))
})

describe("a policy", () => {
  it.effect("none makes one request", () =>
    Effect.gen(function*() {
      for (const answer of [failure(500), refusal({ "retry-after": "1" }), "refused", "reset"] as const) {
        const { asked, fileIo } = yield* scripted(() => answer)
        yield* run(FileIo.withRetry(fileIo.list(), RetryPolicy.none))
        assert.strictEqual(asked.length, 1)
      }
    }))

  it.effect("is by count, by base and by the longest delay", () =>
    Effect.gen(function*() {
      const { asked, fileIo } = yield* scripted(() => failure(500))
      const policy = RetryPolicy.make({ times: 6, base: "1 second", maxDelay: "3 seconds" })
      yield* run(FileIo.withRetry(fileIo.list(), policy))
      assert.strictEqual(asked.length, 7)
      delays(asked).forEach((delay, n) => {
        const base = Math.min(3000, 1000 * 2 ** n)
        assert.isAtLeast(delay, base * 0.8)
        assert.isAtMost(delay, base * 1.2 + 1)
      })
    }))

  it.effect("ends when its time is over, before the wait that would be too long", () =>
    Effect.gen(function*() {
      const { asked, fileIo } = yield* scripted(() => failure(500))
      const policy = RetryPolicy.fromSchedule(Schedule.spaced("3 seconds"), { budget: "10 seconds" })
      const fiber = yield* Effect.forkChild(Effect.exit(FileIo.withRetry(fileIo.list(), policy)))
      yield* advance("9 seconds")
      assert.strictEqual(asked.length, 4)
      assert.isDefined(fiber.pollUnsafe())
    }))

  it.effect("is any schedule, which sees the error", () =>
    Effect.gen(function*() {
      const { asked, fileIo } = yield* scripted((number) => failure(number < 3 ? 503 : 500))
      const seen: Array<string> = []
      const whileBusy = Schedule.spaced("1 second").pipe(
        Schedule.setInputType<FileIoError.FileIoError>(),
        Schedule.while(({ input }) => {
          seen.push(input.reason._tag)
          return input.reason._tag === "ServerFailure" && input.reason.status === 503
        })
      )
      yield* run(FileIo.withRetry(fileIo.list(), RetryPolicy.fromSchedule(whileBusy)))
      assert.deepStrictEqual([asked.length, seen.length], [3, 3])
      assert.deepStrictEqual(delays(asked), [1000, 1000])
    }))

  it.effect("of Effect drives the delays", () =>
    Effect.gen(function*() {
      for (
        const [schedule, expected] of [
          [Schedule.fibonacci("1 second"), [1000, 1000, 2000]],
          [Schedule.spaced("700 millis"), [700, 700, 700]],
          [Schedule.exponential("100 millis", 3), [100, 300, 900]]
        ] as const
      ) {
        const { asked, fileIo } = yield* scripted(() => failure(500))
        const thrice = Schedule.upTo(schedule as Schedule.Schedule<unknown>, { times: 3 })
        const policy = RetryPolicy.fromSchedule(thrice)
        yield* run(FileIo.withRetry(fileIo.list(), policy))
        assert.deepStrictEqual(delays(asked), [...expected])
      }
    }))

  it.effect("holds for one call, and policies do not multiply", () =>
    Effect.gen(function*() {
      const { asked, fileIo } = yield* scripted(() => failure(500))
      const twice = RetryPolicy.make({ times: 2 })
      const inner = FileIo.withRetry(fileIo.list(), twice)
      yield* run(FileIo.withRetry(inner, RetryPolicy.make({ times: 2 })))
      assert.strictEqual(asked.length, 3)
    }))
})

describe("time in which the process stood still", () => {
  const HOUR = 3_600_000
  const HOUR_NANOS = 3_600_000_000_000n
  /** The clock of the test, which advances by an hour when the process is stopped; its timers fire late then. */
  const stoppable = Effect.map(Clock.Clock, (clock) => {
    let stops = 0
    return {
      stop: () => void stops++,
      clock: Object.assign(Object.create(clock) as Clock.Clock, {
        currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + stops * HOUR,
        monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + BigInt(stops) * HOUR_NANOS
      })
    }
  })
  const policy = RetryPolicy.fromSchedule(Schedule.spaced("2 seconds"), { budget: "10 seconds" })

  it.effect("between two attempts does not end the repetitions, and all other time does", () =>
    Effect.gen(function*() {
      const { clock, stop } = yield* stoppable
      const { asked, fileIo } = yield* scripted(() => failure(500))
      const fiber = yield* FileIo.withRetry(fileIo.list(), policy).pipe(
        Effect.provideService(Clock.Clock, clock),
        Effect.exit,
        Effect.forkChild({ startImmediately: true })
      )
      yield* advance("1 second")
      stop()
      yield* advance("1 minute")
      yield* Fiber.join(fiber)
      // At 0, 2, 4, 6, 8 and 10 seconds of running time.
      assert.strictEqual(asked.length, 6)
    }))

  it.effect("while a request was out does not end the repetitions", () =>
    Effect.gen(function*() {
      const { clock, stop } = yield* stoppable
      const { asked, fileIo } = yield* scripted((number) => number === 1 ? "stalled" : list)
      const patient = RetryPolicy.fromSchedule(Schedule.spaced("2 seconds"), { budget: "10 minutes" })
      const fiber = yield* FileIo.withRetry(fileIo.list(), patient).pipe(
        Effect.provideService(Clock.Clock, clock),
        Effect.exit,
        Effect.forkChild({ startImmediately: true })
      )
      yield* advance("1 second")
      stop()
      yield* advance("3 minutes")
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
      assert.strictEqual(asked.length, 2)
    }))
})

describe("Retry-After", () => {
  it.effect("is waited for where it is longer than the schedule's delay", () =>
    Effect.gen(function*() {
      for (const answer of [refusal({ "retry-after": "5" }), json(503, {}, { "retry-after": "5" })]) {
        const { asked, fileIo } = yield* scripted((number) => number === 1 ? answer : list)
        assert.isTrue(Exit.isSuccess(yield* run(fileIo.list())))
        assert.deepStrictEqual(delays(asked), [5000])
      }
    }))

  it.effect("beyond the budget fails at once and tells the time", () =>
    Effect.gen(function*() {
      const { asked, fileIo } = yield* scripted(() => refusal({ "retry-after": "61" }))
      const error = yield* Effect.flip(fileIo.list())
      if (error.reason._tag !== "RateLimited") return assert.fail(error.reason._tag)
      assert.strictEqual(Duration.toSeconds(error.reason.retryAfter!), 61)
      assert.strictEqual(asked.length, 1)
    }))

  it("is seconds, or a date by the host's clock", () => {
    const parse = (headers: Record<string, string>) => {
      const parsed = RetryAfter.parse(headers as Parameters<typeof RetryAfter.parse>[0], Date.UTC(2025, 0, 1))
      return parsed === undefined ? undefined : Duration.toMillis(parsed)
    }
    const at = "Wed, 01 Jan 2025 00:00:10 GMT"
    assert.strictEqual(parse({}), undefined)
    assert.strictEqual(parse({ "retry-after": "" }), undefined)
    assert.strictEqual(parse({ "retry-after": "soon" }), undefined)
    assert.strictEqual(parse({ "retry-after": "-3" }), undefined)
    assert.strictEqual(parse({ "retry-after": " 7 " }), 7000)
    assert.strictEqual(parse({ "retry-after": "0.5" }), 500)
    assert.strictEqual(parse({ "retry-after": "9".repeat(400) }), 1e12)
    assert.strictEqual(parse({ "retry-after": at }), 10_000)
    assert.strictEqual(parse({ "retry-after": at, date: "Wed, 01 Jan 2025 00:00:04 GMT" }), 6000)
    assert.strictEqual(parse({ "retry-after": at, date: "Wed, 01 Jan 2025 00:01:00 GMT" }), 0)
    assert.strictEqual(parse({ "retry-after": at, date: "nonsense" }), 10_000)
  })
})

describe("a refusal after an attempt whose effect is unknown", () => {
  const key = "abcdefghijkl"
  const failing = (
    first: number,
    second: Answer,
    call: (fileIo: FileIo.FileIo["Service"]) => Effect.Effect<unknown, FileIoError.FileIoError, Scope.Scope>
  ) =>
    Effect.gen(function*() {
      const { fileIo } = yield* scripted((number) => number === 1 ? failure(first) : second)
      return yield* Effect.flip(yield* run(Effect.scoped(call(fileIo))))
    })

  it.effect.each(
    [[502, "unknown"], [504, "unknown"], [503, "absent"]] as const
  )("of a download: %s, then a 404, is %s", ([first, copy]) =>
    Effect.gen(function*() {
      const error = yield* failing(first, failure(404), (fileIo) => fileIo.download(key))
      assert.strictEqual(error.reason._tag, "FileNotFound")
      assert.strictEqual(error.copy, copy)
    }))

  it.effect.each([401, 403, 423])("of a download: 502, then %s, is unknown", (second) =>
    Effect.gen(function*() {
      const error = yield* failing(502, failure(second), (fileIo) => fileIo.download(key))
      assert.strictEqual(error.copy, "unknown")
    }))

  it.effect.each(
    [[500, "unknown"], [507, "no"]] as const
  )("of an update or replacement: %s, then a 404, is %s", ([first, stored]) =>
    Effect.gen(function*() {
      for (const operation of ["update", "replace"] as const) {
        const error = yield* failing(first, failure(404), (fileIo) => fileIo[operation](key, { maxDownloads: 2 }))
        assert.strictEqual(error.stored, stored, operation)
      }
    }))

  it.effect("of a deletion, 404, is a success, also after a 429; a refused key is none", () =>
    Effect.gen(function*() {
      const deleted = (answers: ReadonlyArray<Answer>) =>
        Effect.gen(function*() {
          const { fileIo } = yield* scripted((number) => answers[number - 1]!)
          return yield* Effect.result(yield* run(fileIo.delete(key)))
        })
      const tags = []
      for (
        const answers of [
          [failure(500), failure(404)],
          [failure(500), refusal(), failure(404)],
          [failure(500), failure(401)],
          [refusal(), failure(404)]
        ]
      ) {
        const result = yield* deleted(answers)
        tags.push(result._tag === "Success" ? "deleted" : result.failure.reason._tag)
      }
      assert.deepStrictEqual(tags, ["deleted", "deleted", "Unauthorized", "FileNotFound"])
    }))
})

describe("what may be repeated", () => {
  const operations = ["me", "list", "download", "upload", "update", "replace", "delete", "status"] as const
  const key = FileKey.make("abcdefghijkl")
  const unreachable = (sent: "no" | "unknown") => new FileIoError.Unreachable({ host: "h", sent })
  const server = (status: number) => new FileIoError.ServerFailure({ status })
  const everybody = operations
  const idempotent = operations.filter((operation) => operation !== "download" && operation !== "upload")

  // The table of docs/one-time-promise.md, row by row.
  const table: ReadonlyArray<[string, Stage, FileIoError.Reason, ReadonlyArray<FileIoError.Operation>]> = [
    ["refused by 429", "limited", new FileIoError.RateLimited({}), everybody],
    ["no connection", "unsent", unreachable("no"), everybody],
    ["broke after it was sent", "broken", unreachable("unknown"), idempotent],
    ["500", "failed", server(500), idempotent],
    ["502", "failed", server(502), [...idempotent, "download"]],
    ["503", "failed", server(503), [...idempotent, "download"]],
    ["504", "failed", server(504), [...idempotent, "download"]],
    ["an answer that broke off", "begun", unreachable("unknown"), ["me", "list", "status"]],
    ["nothing sent, for a reason here", "local", new FileIoError.RateLimited({}), []],
    ["refused for good", "refused", new FileIoError.FileNotFound({ key }), []],
    ["a source that failed", "withheld", new FileIoError.SourceFailed({ problem: "p" }), []]
  ]

  it.each(table)("%s", (_, stage, reason, allowed) => {
    const given = (content: Content) =>
      operations.filter((operation) => mayRepeat(operation, new Failure(stage, reason), content))
    const others = (names: ReadonlyArray<string>) => names.filter((name) => name !== "upload").toSorted()
    assert.deepStrictEqual(others(given("none")), others(allowed))
    // With content, an update is like an upload.
    const isAllowed = allowed.includes("upload")
    const withContent = given("reopenable").filter((name) => ["upload", "update", "replace"].includes(name))
    assert.deepStrictEqual(withContent, isAllowed ? ["upload", "update", "replace"] : [])
    // A body that can be read once is never sent twice.
    assert.deepStrictEqual(given("once"), [])
  })
})
