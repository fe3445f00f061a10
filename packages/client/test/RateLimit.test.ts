import { FileBody, FileIo, Metrics, RateLimit, RateLimitStore, RetryPolicy, Transport } from "@effect-fileio/client"
import { assert, describe, it } from "@effect/vitest"
import {
  Arbitrary,
  Clock,
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Metric,
  Queue,
  Redacted,
  Schema,
  Stream
} from "effect"
import { HttpClient, HttpClientError } from "effect/http"
import { TestClock } from "effect/testing"
import * as Limiter from "../src/internal/limit/limiter.ts"
import * as Failure from "../src/internal/shared/failure.ts"
import { recordingTracer } from "./utils/recordingTracer.ts"
import { advance, failure, fileIo, json, refusal, StrictCounter, strictHost } from "./utils/strictHost.ts"

const times = (count: number) => Array.from({ length: count }, (_, n) => n)

/** Starts a number of calls at once. */
const start = <A, E>(count: number, call: Effect.Effect<A, E>) =>
  Effect.forEach(times(count), () => Effect.forkChild(call), { concurrency: 1 })

const done = <A, E>(fibers: ReadonlyArray<Fiber.Fiber<A, E>>) =>
  fibers.filter((fiber) => fiber.pollUnsafe() !== undefined).length

describe("the limit", () => {
  it.effect("no second has more requests than the limit, and the limit is used", () =>
    Effect.gen(function*() {
      for (const limit of [1, 3, 10, 100]) {
        for (const [upMillis, downMillis] of [[0, 0], [25, 25], [20, 180], [180, 20]] as const) {
          const host = strictHost({ limit, upMillis, downMillis })
          const client = yield* fileIo(host)
          const fibers = yield* start(limit * 12, client.list())
          yield* advance("13 seconds")
          const label = `limit ${limit}, ${upMillis} + ${downMillis} ms`
          assert.strictEqual(host.rejected(), 0, label)
          assert.isAtMost(host.counter.worst, limit, label)
          // The limit has to be learned, and a round trip too, before the pace is full.
          assert.isAtLeast(host.paths.length, limit * 11, label)
          yield* Fiber.interruptAll(fibers)
        }
      }
    }))

  it.effect("a call alone does not wait, nor do as many as the limit allows", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 4 })
      const client = yield* fileIo(host)
      yield* client.list()
      yield* client.list()
      // The first of the four was `me`.
      yield* client.list()
      assert.deepStrictEqual(host.paths, ["GET /me", "GET /", "GET /", "GET /"])
    }))

  it.effect("a large limit is not used up at once, which would only queue at both ends", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 100 })
      const client = yield* fileIo(host).pipe(
        Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.fixed(100))
      )
      const fibers = yield* start(100, client.list())
      yield* advance(0)
      assert.strictEqual(done(fibers), 25)
      yield* advance("200 millis")
      assert.strictEqual(done(fibers), 65)
      yield* advance("200 millis")
      assert.strictEqual(done(fibers), 100)
    }))

  it.effect("fixed holds without asking, also for times other than a second", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 2, window: 10_000 })
      const client = yield* fileIo(host).pipe(
        Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.fixed(2, "10 seconds"))
      )
      const fibers = yield* start(6, client.list())
      yield* advance("9 seconds")
      assert.strictEqual(host.paths.length, 2)
      yield* advance("12 seconds")
      assert.strictEqual(host.paths.length, 6)
      assert.deepStrictEqual([host.rejected(), host.count("GET /me"), done(fibers)], [0, 0, 6])
    }))

  it.effect("an invalid limit fails with InvalidRequest, when a FileIo is made and around a call", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 1 })
      const client = yield* fileIo(host)
      const wrong = [
        RateLimit.fixed(0),
        RateLimit.fixed(-1),
        RateLimit.fixed(Number.NaN),
        RateLimit.fixed(Infinity),
        RateLimit.fixed(1, 0),
        RateLimit.fixed(1, "a while" as "1 second"),
        RateLimit.learned({ lifetime: 0 }),
        RateLimit.learned({ lifetime: "ages" as "1 second" })
      ]
      for (const limit of wrong) {
        const made = yield* Effect.flip(Effect.provideService(fileIo(host), RateLimit.CurrentRateLimit, limit))
        const called = yield* Effect.flip(RateLimit.withRateLimit(client.list(), limit))
        assert.deepInclude(made, { _tag: "InvalidOption", option: "rateLimit" })
        assert.deepInclude(called, { _tag: "FileIoError", operation: "list" })
        assert.deepInclude("reason" in called ? called.reason : undefined, {
          _tag: "InvalidRequest",
          field: "rateLimit"
        })
      }
      assert.deepStrictEqual(host.paths, [])
    }))

  it.effect("unlimited does not wait", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 1, refuses: false })
      const client = yield* fileIo(host).pipe(
        Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.unlimited)
      )
      yield* Effect.all(times(50).map(() => client.list()), { concurrency: "unbounded" })
      assert.strictEqual(host.paths.length, 50)
    }))

  it.effect("one call can have its own limit, and counts for the others", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 3, refuses: false })
      const client = yield* fileIo(host)
      for (let n = 0; n < 5; n++) yield* client.list().pipe(RateLimit.withRateLimit(RateLimit.unlimited))
      assert.strictEqual(host.paths.length, 5)
      const fiber = yield* Effect.forkChild(client.list().pipe(RateLimit.withRateLimit(RateLimit.fixed(3))))
      yield* advance("1 second")
      assert.strictEqual(host.paths.length, 5)
      yield* advance("2 millis")
      assert.strictEqual(host.paths.length, 6)
      yield* Fiber.join(fiber)
    }))

  it.effect("uploads, downloads, pages, me and retries use the same limit", () =>
    Effect.gen(function*() {
      let failures = 0
      const host = strictHost({
        limit: 2,
        answer: (path) => path === "DELETE /abcdefghijkl" && failures++ === 0 ? failure(503) : undefined
      })
      const client = yield* fileIo(host)
      const calls = Effect.all([
        client.me,
        client.list(),
        client.delete("abcdefghijkl"),
        Effect.exit(client.downloadBytes("abcdefghijkl")),
        client.list({ offset: 3 }),
        Effect.exit(client.update("abcdefghijkl", { expires: "1h" }))
      ], { concurrency: "unbounded" })
      const fiber = yield* Effect.forkChild(calls)
      yield* advance("10 seconds")
      yield* Fiber.join(fiber)
      assert.isAtMost(host.counter.worst, 2)
      assert.isAbove(host.paths.length, 6)
    }))

  it.effect("two services with one key share it; other keys and other hosts have their own", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 3 })
      const baseUrl = "http://shared.localhost"
      const one = yield* fileIo(host, { baseUrl })
      const two = yield* fileIo(host, { baseUrl: "http://shared.localhost/" })
      const fibers = yield* Effect.map(Effect.all([start(10, one.list()), start(10, two.list())]), (all) => all.flat())
      yield* advance("20 seconds")
      assert.deepStrictEqual([done(fibers), host.rejected(), host.count("GET /me")], [20, 0, 1])
      const other = yield* fileIo(strictHost({ limit: 3 }), { baseUrl: "http://other.localhost" })
      yield* other.list()
    }))
})

describe("an HttpClient that reports when a request is sent", () => {
  it.effect("uses the full rate even if a client makes a request only now and then over old connections", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 1, window: 10_000, upMillis: 100, downMillis: 100 })
      const telling = Layer.effect(
        HttpClient.HttpClient,
        Effect.map(HttpClient.HttpClient, (http) =>
          HttpClient.transform(http, (sent) =>
            Effect.andThen(
              Effect.map(Transport.CurrentRequest, (current) => current?.observer.onHeadWritten("reused")),
              sent
            )))
      ).pipe(Layer.provide(host.httpClient))
      const client = yield* FileIo.make({ baseUrl: "http://telling.localhost", apiKey: Redacted.make("KEY") }).pipe(
        Effect.provide(telling),
        Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.fixed(1, "10 seconds"))
      )
      const fibers = yield* start(40, client.list())
      yield* advance("350 seconds")
      const times = host.counter.arrivals.slice(-10)
      const apart = times.slice(1).map((time, n) => time - times[n]!).toSorted((a, b) => a - b)
      assert.isAtLeast(apart[0]!, 10_000)
      // One permit may be held for longer, to leave a gap for other processes.
      assert.isAtMost(apart.at(-2)!, 10_050)
      yield* Fiber.interruptAll(fibers)
    }))
})

describe("waiting", () => {
  it.effect("first come, first served", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 1 })
      const client = yield* fileIo(host)
      yield* Effect.forEach(
        times(20),
        (n) => Effect.forkChild(client.delete(`file${String(n).padStart(8, "0")}`)),
        { concurrency: 1 }
      )
      yield* advance("25 seconds")
      assert.deepStrictEqual(
        host.paths.slice(1),
        times(20).map((n) => `DELETE /file${String(n).padStart(8, "0")}`)
      )
    }))

  it.effect("an interrupted waiter holds no permit", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 2 })
      const client = yield* fileIo(host)
      const fibers = yield* start(20, client.list())
      yield* advance("1500 millis")
      assert.strictEqual(done(fibers), 3)
      yield* Fiber.interruptAll(fibers.slice(3, 19))
      yield* advance("1 second")
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(fibers[19]!)))
      yield* advance("5 seconds")
      const again = yield* start(2, client.list())
      yield* advance(0)
      assert.strictEqual(done(again), 2)
    }))

  it.effect("a waiter learns how long it will wait, and waitTime says so", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 2 })
      const reported: Array<RateLimit.Waiting> = []
      const baseUrl = "http://waiting.localhost"
      const client = yield* fileIo(host, { baseUrl }).pipe(
        Effect.provideService(RateLimit.CurrentOnWait, (waiting) => Effect.sync(() => reported.push(waiting)))
      )
      yield* client.list()
      assert.strictEqual(Duration.toMillis(yield* client.waitTime), 1002)
      const fibers = yield* start(4, client.list())
      yield* advance(0)
      assert.deepStrictEqual(
        reported.map(({ ahead, expected, limit, reason }) => [reason, ahead, Duration.toMillis(expected), limit]),
        [["limit", 0, 1002, 2], ["limit", 1, 1002, 2], ["limit", 2, 2004, 2], ["limit", 3, 2004, 2]]
      )
      yield* advance("2004 millis")
      assert.strictEqual(done(fibers), 4)
    }))

  it.effect("a long upload does not hold its permit until it ends", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 1 })
      const slow = Layer.effect(
        HttpClient.HttpClient,
        Effect.map(HttpClient.HttpClient, (http) =>
          HttpClient.transform(http, (sent, request) =>
            request.method === "POST" && request.body._tag === "Stream"
              ? Effect.andThen(
                Effect.andThen(Effect.orDie(Stream.runDrain(request.body.stream)), Effect.sleep("5 minutes")),
                sent
              )
              : sent))
      ).pipe(Layer.provide(host.httpClient))
      const client = yield* FileIo.make({ baseUrl: "http://upload.localhost", firstByteTimeout: "1 hour" }).pipe(
        Effect.provide(slow),
        Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.fixed(1))
      )
      const upload = (mebibytes: number) =>
        client.upload(FileBody.stream(
          () =>
            Stream.fromIterable(Array.from({ length: mebibytes }, () =>
              new Uint8Array(1024 ** 2))).pipe(
                Stream.tap(() =>
                  Effect.sleep("100 millis")
                )
              ),
          { size: mebibytes * 1024 ** 2 }
        ))
      const other = Effect.exit(client.downloadBytes("abcdefghijkl"))
      const timeOf = (size: number) =>
        Effect.gen(function*() {
          const began = host.paths.length
          const uploading = yield* Effect.forkChild(Effect.exit(upload(size)))
          yield* advance(0)
          const fiber = yield* Effect.forkChild(other)
          let seconds = 0
          while (host.paths.length === began) {
            yield* advance("1 second")
            seconds++
          }
          yield* Fiber.join(fiber)
          yield* Fiber.interrupt(uploading)
          yield* advance("1 minute")
          return seconds
        })
      // One second for the head, one for the window.
      assert.strictEqual(yield* timeOf(4), 3)
      // Nothing is known of a small one, but that it arrives in 10 seconds or never.
      assert.strictEqual(yield* timeOf(1), 12)
    }))

  it.effect("how long an upload takes says nothing about a round trip, so later calls are as fast as before", () =>
    Effect.gen(function*() {
      const limiter = yield* Effect.provideService(
        Limiter.make({ baseUrl: "http://underway.localhost", account: undefined, learn: Effect.void }),
        RateLimit.CurrentRateLimit,
        RateLimit.fixed(1)
      )
      const clock = yield* Clock.Clock
      const run = (millis: number, isUpload: boolean) =>
        Effect.withFiber((fiber) => {
          const hooks: Limiter.RequestHooks = {
            underway: undefined,
            onConnectionWait: undefined,
            onDeparture: undefined
          }
          const request = Effect.suspend(() => {
            hooks.onDeparture?.(true)
            if (isUpload) hooks.underway?.()
            return Effect.sleep(millis)
          })
          return limiter.permitsFor("upload", fiber).run(request, () => 1000, hooks)
        })
      const timeOf = Effect.fnUntraced(function*(effect: Effect.Effect<unknown, unknown>) {
        const began = clock.currentTimeMillisUnsafe()
        const fiber = yield* Effect.forkChild(effect)
        while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust(10)
        return clock.currentTimeMillisUnsafe() - began
      })
      const some = Effect.repeat(run(200, false), { times: 19 })
      yield* timeOf(some)
      const before = yield* timeOf(some)
      yield* timeOf(run(60_000, true))
      assert.isAtMost(yield* timeOf(some), before + 100)
    }))

  /** Two calls at a host that allows one request per second; the first one waits for its connection. */
  const behindSlowConnection = (options: {
    readonly connectMillis: number
    readonly downMillis: number
    readonly interruptAfter?: number
  }) =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 1, downMillis: options.downMillis, refuses: false })
      let observer: Transport.Observer | undefined
      const slow = Layer.effect(
        HttpClient.HttpClient,
        Effect.map(HttpClient.HttpClient, (http) =>
          HttpClient.transform(http, (sent) =>
            Effect.withFiber((fiber) => {
              const current = fiber.getRef(Transport.CurrentRequest)!.observer
              const isFirst = observer === undefined
              observer ??= current
              if (isFirst) current.onWaiting()
              return Effect.sleep(isFirst ? options.connectMillis : 0).pipe(
                Effect.tap(() => Effect.sync(() => current.onHeadWritten("new"))),
                Effect.andThen(sent)
              )
            })))
      ).pipe(Layer.provide(host.httpClient))
      const client = yield* FileIo.make({ baseUrl: "http://connecting.localhost", firstByteTimeout: "1 hour" }).pipe(
        Effect.provide(slow),
        Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.fixed(1))
      )
      const call = Effect.exit(client.downloadBytes("abcdefghijkl"))
      const first = yield* Effect.forkChild(call)
      yield* advance(0)
      const second = yield* Effect.forkChild(call)
      if (options.interruptAfter !== undefined) {
        yield* advance(options.interruptAfter)
        yield* Fiber.interrupt(first)
        // Too late: the request has ended.
        observer!.onWaiting()
      }
      yield* advance(options.interruptAfter === undefined ? "310 seconds" : "3 seconds")
      assert.isDefined(second.pollUnsafe())
      assert.strictEqual(host.counter.worst, 1)
      const { arrivals } = host.counter
      return arrivals.map((at) => at - arrivals[0]!)
    })

  it.effect("a request holds its permit until it has a connection", () =>
    Effect.gen(function*() {
      // Two milliseconds are for hosts that count whole milliseconds.
      assert.deepStrictEqual(yield* behindSlowConnection({ connectMillis: 15_000, downMillis: 200 }), [0, 1202])
      assert.deepStrictEqual(yield* behindSlowConnection({ connectMillis: 40_000, downMillis: 0 }), [0, 1002])
    }))

  it.effect("a request without a response holds its permit for 10 seconds and a window after it was sent", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* behindSlowConnection({ connectMillis: 15_000, downMillis: 60_000 }), [0, 11_002])
    }))

  it.effect("a request that is interrupted while it waits for a connection releases its permit", () =>
    Effect.gen(function*() {
      const options = { connectMillis: 100_000, downMillis: 0, interruptAfter: 20_000 }
      assert.strictEqual((yield* behindSlowConnection(options)).length, 1)
    }))

  it.effect("a request that waits for a connection without end does not stop the other calls of its account", () =>
    Effect.gen(function*() {
      assert.strictEqual((yield* behindSlowConnection({ connectMillis: 3_600_000, downMillis: 0 })).length, 1)
    }))

  it.effect("the permit in a store is renewed while its request waits for a connection", () =>
    Effect.gen(function*() {
      const renewed = yield* Queue.unbounded<string>()
      const isSending = yield* Deferred.make<void>()
      const released = yield* Deferred.make<string>()
      let acquired: string | undefined
      const store: RateLimitStore.Store = {
        acquire: ({ permit }) =>
          Effect.sync(() => {
            acquired = permit
            return { _tag: "Acquired" } as const
          }),
        renew: (_, permit) => Effect.asVoid(Queue.offer(renewed, permit)),
        release: (_, permit) => Effect.asVoid(Deferred.succeed(released, permit)),
        pause: () => Effect.void,
        whenAway: "fail"
      }
      const limiter = yield* Limiter.make({
        baseUrl: "http://renewing.localhost",
        account: undefined,
        learn: Effect.void
      }).pipe(
        Effect.provide(RateLimitStore.layer(store)),
        Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.fixed(1))
      )
      const hooks: Limiter.RequestHooks = { underway: undefined, onConnectionWait: undefined, onDeparture: undefined }
      const request = Effect.andThen(Deferred.succeed(isSending, undefined), Effect.never)
      const call = yield* Effect.forkChild(
        Effect.withFiber((fiber) => limiter.permitsFor("download", fiber).run(request, () => Infinity, hooks))
      )
      yield* Deferred.await(isSending)
      hooks.onConnectionWait!()
      for (let n = 0; n < 5; n++) {
        yield* advance("4 seconds")
        assert.strictEqual(yield* Queue.take(renewed), acquired)
      }
      hooks.onDeparture!(false)
      assert.strictEqual(yield* Queue.take(renewed), acquired)
      yield* advance("1 minute")
      yield* Fiber.interrupt(call)
      assert.strictEqual(yield* Deferred.await(released), acquired)
      assert.strictEqual(yield* Queue.size(renewed), 0)
    }))

  it.effect("a request that was never sent releases its permit at once", () =>
    Effect.gen(function*() {
      let attempts = 0
      const layer = Layer.succeed(
        HttpClient.HttpClient,
        HttpClient.make((request) =>
          Effect.suspend(() => {
            attempts++
            const cause = Object.assign(new Error("connect ECONNREFUSED"), { code: "ECONNREFUSED" })
            return Effect.fail(
              new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
            )
          })
        )
      )
      const client = yield* FileIo.make({ baseUrl: "http://down.localhost" }).pipe(
        Effect.provide(layer),
        Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.fixed(1))
      )
      const call = Effect.exit(FileIo.withRetry(client.downloadBytes("abcdefghijkl"), RetryPolicy.none))
      const fibers = yield* start(30, call)
      yield* advance("1 millis")
      assert.deepStrictEqual([attempts, done(fibers)], [30, 30])
    }))
})

describe("learning the limit", () => {
  it.effect("takes one request, however many calls start at once, and none overtakes it", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 25, upMillis: 50, downMillis: 50 })
      const client = yield* fileIo(host)
      const fibers = yield* start(24, client.list())
      yield* advance("99 millis")
      assert.deepStrictEqual(host.paths, ["GET /me"])
      yield* advance("101 millis")
      assert.deepStrictEqual([host.count("GET /me"), done(fibers)], [1, 24])
    }))

  it.effect("also happens by a call of me", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 5 })
      const client = yield* fileIo(host)
      yield* client.me
      yield* Effect.all(times(4).map(() => client.list()), { concurrency: "unbounded" })
      assert.strictEqual(host.count("GET /me"), 1)
    }))

  it.effect("is repeated after its lifetime, while calls continue", () =>
    Effect.gen(function*() {
      let reported = 2
      const host = strictHost({
        limit: 50,
        answer: (path) =>
          path === "GET /me" ? json(200, { success: true, status: 200, rateLimit: reported }) : undefined
      })
      const client = yield* fileIo(host).pipe(
        Effect.provideService(RateLimit.CurrentRateLimit, RateLimit.learned({ lifetime: "1 minute" }))
      )
      yield* client.list()
      reported = 20
      yield* advance("61 seconds")
      yield* client.list()
      yield* advance("2 seconds")
      assert.strictEqual(host.count("GET /me"), 2)
      const fibers = yield* start(19, client.list())
      yield* advance(0)
      assert.strictEqual(done(fibers), 19)
    }))

  it.effect("that fails because the key is wrong is not logged: the call says so", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => {
      lines.push(String(message))
    })
    return Effect.gen(function*() {
      const host = strictHost({ limit: 10, answer: () => failure(401) })
      const client = yield* fileIo(host)
      const fiber = yield* Effect.forkChild(Effect.flip(client.list()))
      yield* advance("5 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).reason._tag, "Unauthorized")
      assert.strictEqual(host.count("GET /me"), 1)
      assert.deepStrictEqual(lines, [])
    }).pipe(Effect.provide(Logger.layer([logger])))
  })

  it.effect("that fails causes no storm and fails no call: one request a second, logged once, retried later", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => {
      lines.push(String(message))
    })
    return Effect.gen(function*() {
      let isDown = true
      const host = strictHost({
        limit: 10,
        answer: (path) => isDown && path === "GET /me" ? failure(500) : undefined
      })
      const client = yield* fileIo(host)
      const fibers = yield* start(200, client.list())
      yield* advance("20 seconds")
      assert.strictEqual(host.count("GET /me"), 1)
      assert.isAtMost(host.counter.worst, 1)
      assert.isAtLeast(done(fibers), 18)
      assert.strictEqual(lines.filter((line) => line.includes("could not be learned")).length, 1)
      isDown = false
      yield* advance("35 seconds")
      assert.strictEqual(host.count("GET /me"), 2)
      assert.strictEqual(done(fibers), 200)
      assert.strictEqual(host.rejected(), 0)
    }).pipe(Effect.provide(Logger.layer([logger])))
  })

  it.effect("does not keep calls waiting when the host does not respond", () =>
    Effect.gen(function*() {
      const stalled = yield* Deferred.make<never>()
      const host = strictHost({ limit: 10 })
      const client = yield* FileIo.make({ baseUrl: "http://stalled.localhost", apiKey: Redacted.make("KEY") }).pipe(
        Effect.provide(
          Layer.effect(
            HttpClient.HttpClient,
            Effect.map(HttpClient.HttpClient, (http) =>
              HttpClient.transform(
                http,
                (sent, request) => request.url.endsWith("/me") ? Deferred.await(stalled) : sent
              ))
          ).pipe(Layer.provide(host.httpClient))
        )
      )
      const fiber = yield* Effect.forkChild(client.list())
      yield* advance("12 seconds")
      yield* Fiber.join(fiber)
    }))

  it.effect("continues for the others when its caller is interrupted", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 3, upMillis: 100, downMillis: 100 })
      const client = yield* fileIo(host)
      const [first, second] = yield* start(2, client.list())
      yield* advance("50 millis")
      yield* Fiber.interrupt(first!)
      yield* advance("1 second")
      yield* Fiber.join(second!)
      assert.strictEqual(host.count("GET /me"), 1)
    }))

  it.effect("a host without a limit, and calls without a key, start slowly and become faster", () =>
    Effect.gen(function*() {
      for (const anonymous of [true, false]) {
        const host = strictHost({ limit: 1000, reported: null })
        const client = yield* fileIo(host, { anonymous })
        const call = Effect.exit(client.downloadBytes("abcdefghijkl"))
        const fibers = yield* start(500, call)
        yield* advance(0)
        assert.isAtMost(host.paths.length, 11)
        yield* advance("10 seconds")
        assert.strictEqual(done(fibers), 500)
      }
    }))

  it.effect("an invalid limit counts as none", () =>
    Effect.gen(function*() {
      for (const reported of [0, -1, -1000]) {
        const host = strictHost({ limit: 1000, reported })
        const client = yield* fileIo(host)
        const fibers = yield* start(100, client.list())
        yield* advance("10 seconds")
        assert.strictEqual(done(fibers), 100, `${reported}`)
      }
    }))

  it.effect("without a key it learns from refusals, down to one request a minute", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 1, window: 60_000 })
      const client = yield* fileIo(host, { anonymous: true })
      const patient = RetryPolicy.make({ times: 1000, budget: "1 day", base: "1 second" })
      const fibers = yield* start(30, FileIo.withRetry(Effect.exit(client.downloadBytes("abcdefghijkl")), patient))
      yield* advance("20 minutes")
      const before = host.rejected()
      yield* advance("10 minutes")
      assert.isAtMost(host.rejected() - before, 4)
      yield* Fiber.interruptAll(fibers)
    }))
})

describe("after a refusal", () => {
  const once = (headers: Record<string, string>, at = 2) => {
    let refused = 0
    return strictHost({
      limit: 10,
      answer: (path, number) => path === "GET /" && number >= at && refused++ < 1 ? refusal(headers) : undefined
    })
  }

  it.effect("the whole account waits as long as the host asks", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => {
        lines.push(String(message))
      })
      yield* Effect.gen(function*() {
        const host = once({ "retry-after": "7" })
        const client = yield* fileIo(host)
        const first = yield* Effect.forkChild(client.list())
        yield* advance("1 second")
        const others = yield* start(5, client.list())
        yield* advance("5900 millis")
        assert.strictEqual(host.paths.length, 2)
        yield* advance("3 seconds")
        yield* Fiber.join(first)
        assert.strictEqual(done(others), 5)
        assert.strictEqual(lines.filter((line) => line.includes("429")).length, 1)
        assert.isFalse(lines.some((line) => line.includes("KEY")))
      }).pipe(Effect.provide(Logger.layer([logger])))
    }))

  it.effect("reads a date by the host's own clock", () =>
    Effect.gen(function*() {
      // The host lives in 2031, and asks for 4 seconds.
      const host = once({
        date: "Wed, 01 Jan 2031 00:00:00 GMT",
        "retry-after": "Wed, 01 Jan 2031 00:00:04 GMT"
      })
      const client = yield* fileIo(host)
      const fiber = yield* Effect.forkChild(client.list())
      yield* advance("3900 millis")
      assert.strictEqual(host.paths.length, 2)
      yield* advance("200 millis")
      yield* Fiber.join(fiber)
    }))

  it.effect("comes back one by one, and not all at once", () =>
    Effect.gen(function*() {
      const host = once({ "retry-after": "5" })
      const client = yield* fileIo(host)
      const fibers = yield* start(30, client.list())
      yield* advance("5010 millis")
      const before = host.paths.length
      yield* advance("450 millis")
      assert.isAtMost(host.paths.length - before, 5)
      yield* advance("5 seconds")
      assert.strictEqual(done(fibers), 30)
      assert.isAtMost(host.counter.worst, 10)
    }))

  it.effect("a wait that is longer than the budget fails at once, for all of the account, and says how long", () =>
    Effect.gen(function*() {
      const host = once({ "retry-after": "3600" })
      const client = yield* fileIo(host)
      const first = yield* Effect.flip(client.list())
      assert.strictEqual(first.reason._tag, "RateLimited")
      yield* advance("10 minutes")
      const second = yield* Effect.flip(client.list())
      if (second.reason._tag !== "RateLimited") return assert.fail(second.reason._tag)
      assert.strictEqual(Duration.toMillis(second.reason.retryAfter!), 3_000_000)
      assert.strictEqual(host.paths.length, 2)
      yield* advance("51 minutes")
      yield* client.list()
    }))

  it.effect("without a Retry-After it waits about a second each time, and fails after a minute", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 10, answer: (path) => path === "GET /" ? refusal() : undefined })
      const client = yield* fileIo(host)
      const fibers = yield* start(3, Effect.flip(client.list()))
      yield* advance("50 seconds")
      assert.strictEqual(done(fibers), 0)
      yield* advance("15 seconds")
      const error = yield* Fiber.join(fibers[0]!)
      assert.strictEqual(error.reason._tag, "RateLimited")
      // Those of all calls together: nothing multiplies.
      assert.isAtMost(host.count("GET /"), 60)
    }))

  it.effect("a call that is refused again and again is one retry for the policy, and continues until its budget is spent", () =>
    Effect.gen(function*() {
      let left = 12
      const host = strictHost({
        limit: 10,
        answer: (path) => path === "GET /" && left-- > 0 ? refusal({ "retry-after": "1" }) : undefined
      })
      const client = yield* fileIo(host)
      const fiber = yield* Effect.forkChild(FileIo.withRetry(client.list(), RetryPolicy.make({ times: 1 })))
      yield* advance("30 seconds")
      yield* Fiber.join(fiber)
      assert.strictEqual(host.count("GET /"), 13)
      left = 1
      const error = yield* Effect.flip(FileIo.withRetry(client.list(), RetryPolicy.none))
      assert.strictEqual(error.reason._tag, "RateLimited")
    }))

  it.effect("requests me again, but not for every refusal", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 3, reported: 10 })
      const client = yield* fileIo(host)
      const fibers = yield* start(60, client.list())
      yield* advance("30 seconds")
      assert.isAtLeast(host.count("GET /me"), 2)
      assert.isAtMost(host.count("GET /me"), 5)
      yield* Fiber.interruptAll(fibers)
    }))

  it.effect("somebody else on the account is given way to", () =>
    Effect.gen(function*() {
      const host = strictHost({ limit: 10 })
      const client = yield* fileIo(host)
      const patient = RetryPolicy.make({ times: 100, budget: "10 minutes" })
      const fibers = yield* start(400, FileIo.withRetry(client.list(), patient))
      // The other client takes half of the limit.
      const other = yield* Effect.forkChild(
        Effect.forever(Effect.andThen(
          Effect.sync(() => host.counter.arrivals.push(host.counter.arrivals.at(-1) ?? 0)),
          Effect.sleep("200 millis")
        ))
      )
      yield* advance("90 seconds")
      assert.isAtLeast(done(fibers), 300)
      yield* Fiber.interrupt(other)
      yield* Fiber.interruptAll(fibers)
    }))
})

describe("seen from outside", () => {
  it.effect("requests, retries and waits are counted, without keys and links", () =>
    Effect.gen(function*() {
      const host = strictHost({
        limit: 2,
        answer: (path, number) => path === "GET /" && number === 2 ? failure(502) : undefined
      })
      const client = yield* fileIo(host)
      const fibers = yield* start(4, client.list())
      yield* advance("10 seconds")
      yield* Fiber.joinAll(fibers)
      const count = (metric: Metric.Counter<number>, attributes: Record<string, string>) =>
        Effect.map(Metric.value(Metric.withAttributes(metric, attributes)), ({ count }) => count)
      assert.strictEqual(yield* count(Metrics.requests, { operation: "list", outcome: "ok" }), 4)
      assert.strictEqual(yield* count(Metrics.requests, { operation: "list", outcome: "ServerFailure" }), 1)
      assert.strictEqual(yield* count(Metrics.retries, { operation: "list" }), 1)
      const waits = yield* Metric.value(Metrics.waits)
      assert.strictEqual(waits.count, 6)
      assert.isAbove(waits.max, 1000)
      assert.isFalse((yield* Metric.dump).includes("KEY"))
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("an incomplete transfer", () => {
  it.effect("is counted as far as it came, and so is an interrupted request", () =>
    Effect.gen(function*() {
      const host = strictHost({
        limit: 10,
        answer: (path) =>
          path === "GET /abcdefghijkl"
            ? { status: 200, headers: { "content-type": "text/plain" }, body: "0123456789" }
            : undefined
      })
      const client = yield* fileIo(host)
      const taken = Effect.flatMap(client.download("abcdefghijkl"), ({ stream }) => Stream.runHead(stream))
      yield* Effect.scoped(taken)
      const interrupted = Effect.flatMap(
        client.download("abcdefghijkl"),
        ({ stream }) => Stream.runForEach(stream, () => Effect.never)
      )
      const reading = yield* Effect.forkChild(Effect.scoped(interrupted))
      yield* advance("1 second")
      yield* Fiber.interrupt(reading)
      const count = (metric: Metric.Counter<number>, attributes: Record<string, string>) =>
        Effect.map(Metric.value(Metric.withAttributes(metric, attributes)), ({ count }) => count)
      assert.strictEqual(yield* count(Metrics.bytes, { direction: "down" }), 20)

      const stalled = yield* fileIo(strictHost({ limit: 10, downMillis: 60_000 }), { anonymous: true })
      const waiting = yield* Effect.forkChild(Effect.scoped(Effect.exit(stalled.download("abcdefghijkl"))))
      yield* advance("1 second")
      yield* Fiber.interrupt(waiting)
      assert.strictEqual(yield* count(Metrics.requests, { operation: "download", outcome: "Interrupted" }), 1)
    }).pipe(Effect.provideService(Metric.MetricRegistry, new Map())))
})

describe("the span of a call", () => {
  it.effect("has its attempts also when it fails or is interrupted", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recordingTracer()
      const host = strictHost({ limit: 1, answer: (path) => path === "GET /" ? failure(500) : undefined })
      const client = yield* fileIo(host)
      const failing = yield* Effect.forkChild(Effect.exit(Effect.withTracer(client.list(), tracer)))
      yield* advance("1 minute")
      yield* Fiber.join(failing)
      assert.strictEqual(spans.find(({ name }) => name === "FileIo.list")?.attributes.get("fileio.attempts"), 5)
      spans.length = 0
      yield* start(3, client.list())
      const waiting = yield* Effect.forkChild(Effect.withTracer(client.list(), tracer))
      yield* advance("1 second")
      yield* Fiber.interrupt(waiting)
      const attributes = spans.find(({ name }) => name === "FileIo.list")?.attributes
      assert.isAtLeast(attributes?.get("fileio.waited_ms") as number, 900)
    }))

  it.effect("has its attempts and how long it waited", () =>
    Effect.gen(function*() {
      const { spans, tracer } = recordingTracer()
      let failures = 0
      const host = strictHost({
        limit: 1,
        answer: (path) => path === "GET /" && failures++ === 0 ? failure(500) : undefined
      })
      const client = yield* fileIo(host)
      const fiber = yield* Effect.forkChild(Effect.withTracer(client.list(), tracer))
      yield* advance("5 seconds")
      yield* Fiber.join(fiber)
      const attributes = spans.find(({ name }) => name === "FileIo.list")?.attributes
      assert.strictEqual(attributes?.get("fileio.attempts"), 2)
      assert.isAtLeast(attributes?.get("fileio.waited_ms") as number, 1002)
    }))
})

describe("every interleaving", () => {
  const millis = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))
  const Call = Schema.Struct({
    after: millis(300),
    down: millis(900),
    fate: Schema.Literals(["answered", "answered", "answered", "broken", "unsent", "interrupted", "defect"]),
    patience: millis(2000)
  })

  it.effect.prop(
    "of calls, failures, interruptions and time keeps the limit and loses no permit",
    [
      Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 4 }))),
      Arbitrary.schema(millis(400)),
      Arbitrary.schema(Schema.Array(Call).check(Schema.isMaxLength(30)))
    ],
    ([limit, up, calls]) =>
      Effect.gen(function*() {
        const counter = new StrictCounter()
        const failed = (stage: Failure.Stage) =>
          new Failure.Failure(stage, { _tag: "Unreachable", isRetryable: true } as Failure.Failure["reason"])
        const limiter = yield* Effect.provideService(
          Limiter.make({ baseUrl: "http://interleaving.localhost", account: undefined, learn: Effect.void }),
          RateLimit.CurrentRateLimit,
          RateLimit.fixed(limit)
        )
        const run = (request: Effect.Effect<void, Failure.Failure>) =>
          Effect.withFiber((fiber) =>
            limiter.permitsFor("list", fiber).run(request, () => 1000, {
              underway: undefined,
              onConnectionWait: undefined,
              onDeparture: undefined
            })
          )
        // What is on its way arrives, whatever becomes of its caller.
        const arrive = Effect.forkDetach(
          Effect.andThen(
            Effect.sleep(up),
            Effect.clockWith((clock) => Effect.sync(() => counter.arrive(clock.currentTimeMillisUnsafe())))
          )
        )
        const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
        for (const { after, down, fate, patience } of calls) {
          yield* TestClock.adjust(after)
          const answer = Effect.sleep(up + down)
          const request = fate === "unsent"
            ? Effect.fail(failed("unsent"))
            : Effect.andThen(
              arrive,
              fate === "answered" || fate === "interrupted"
                ? answer
                : Effect.andThen(answer, fate === "broken" ? Effect.fail(failed("broken")) : Effect.die("defect"))
            )
          const fiber = yield* Effect.forkChild(Effect.exit(run(request)))
          fibers.push(fiber)
          if (fate === "interrupted") {
            yield* Effect.forkChild(Effect.andThen(Effect.sleep(patience), Fiber.interrupt(fiber)))
          }
        }
        yield* TestClock.adjust("200 seconds")
        for (const fiber of fibers) assert.isDefined(fiber.pollUnsafe())
        assert.isAtMost(counter.worst, limit)
        const again = yield* start(limit, run(Effect.void))
        yield* TestClock.adjust(0)
        assert.strictEqual(done(again), limit)
      }),
    { arbitrary: { runs: 150 } }
  )
})
