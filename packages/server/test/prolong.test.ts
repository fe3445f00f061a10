/** What the server reports of the bytes that its downloads have sent. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Catalog, CatalogError, type Lease, NotProlonged, type Progress } from "../src/Catalog.ts"
import { Health } from "../src/Health.ts"
import * as Leases from "../src/internal/handlers/leases.ts"
import type { Outcome } from "../src/internal/http/transfer.ts"
import * as Machine from "../src/internal/sql/lease.ts"

const lease = (id: string): Lease => ({
  id,
  key: id,
  generation: 1,
  counted: false,
  blob: id,
  name: "file.txt",
  mimeType: "text/plain",
  size: 1000
})

it.effect("bytes are reported again only for the leases that were not prolonged", () =>
  Effect.gen(function*() {
    const reports: Array<ReadonlyArray<readonly [string, number]>> = []
    const prolong = (transfers: ReadonlyArray<Progress>) => {
      reports.push(transfers.map(({ lease, sent }) => [lease.id, sent]))
      const cause = new CatalogError({ cause: new Error("silent"), reason: "unavailable" })
      return reports.length === 1
        ? Effect.fail(new NotProlonged({ cause, transfers: transfers.filter(({ lease }) => lease.id === "two") }))
        : Effect.void
    }
    const catalog = {
      prolong,
      prolongInterval: "1 second",
      release: () => Effect.void
    } as unknown as Catalog["Service"]
    const health = { note: () => Effect.succeed("catalog") } as unknown as Health["Service"]
    const context = yield* Layer.build(
      Leases.layer.pipe(Layer.provide([Layer.succeed(Catalog, catalog), Layer.succeed(Health, health)]))
    )
    const { run } = yield* Leases.Leases.pipe(Effect.provide(context))
    for (const id of ["one", "two"]) {
      yield* Effect.forkScoped(run(lease(id), { start: 0, end: 1000 }, () =>
        Effect.sync(() => {
          const { promise, resolve } = Promise.withResolvers<Outcome>()
          return { done: promise, abort: () => resolve("broken"), stopAt: () => {}, position: () => 0, sent: () => 100 }
        })))
    }
    yield* TestClock.adjust("1 second")
    yield* TestClock.adjust("1 second")
    assert.deepStrictEqual(reports.slice(-2), [[["one", 100], ["two", 100]], [["one", 0], ["two", 100]]])
  }))

it("a report that counts twice gives a lease no more than a faster receiver gets", () => {
  const terms = { grace: 10_000, patience: 30_000, minimumRate: 1000 }
  const begun = Machine.claimed({ size: 1_000_000, expires: null, countsFirst: false }, 0, terms)
  const report = (lease: Machine.Lease, now: number, sent: number) => Machine.prolonged(lease, 1, now, terms, sent)
  const once = report(begun, 20_000, 15_000)
  const twice = report(once, 20_000, 15_000)
  assert.deepStrictEqual([once.ends, twice.ends], [55_000, 60_000])
  assert.strictEqual(twice.ends, report(begun, 20_000, 1_000_000).ends)
  let last = begun
  for (let now = 20_000; now < 1_040_000; now += 20_000) last = report(report(last, now, 100_000), now, 100_000)
  assert.deepStrictEqual([last.ends, last.latest], [1_040_000, 1_040_000])
})
