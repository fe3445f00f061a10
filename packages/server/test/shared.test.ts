import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber } from "effect"
import { shared } from "../src/internal/disk/folders.ts"
import * as InTurn from "../src/internal/shared/inTurn.ts"

/** A sync that ends when the test says so. */
const controlled = () => {
  const begun: Array<PromiseWithResolvers<void>> = []
  const sync = shared(() => {
    const running = Promise.withResolvers<void>()
    begun.push(running)
    return running.promise
  })
  return { begun, sync }
}

const outcome = (promise: Promise<void>) => promise.then(() => "done", (cause: Error) => cause.message)

describe("a shared sync", () => {
  it("that runs is not used by those who ask meanwhile: all of them get the next one", async () => {
    const { begun, sync } = controlled()
    const first = sync()
    const others = [sync(), sync(), sync()]
    let ended = 0
    for (const other of others) void other.then(() => ended++)
    assert.strictEqual(begun.length, 1)
    begun[0]!.resolve()
    await first
    await Promise.resolve()
    assert.strictEqual(begun.length, 2)
    assert.strictEqual(ended, 0)
    // One that is asked for now has changes that the second may not have.
    const late = sync()
    begun[1]!.resolve()
    await Promise.all(others)
    assert.strictEqual(begun.length, 3)
    begun[2]!.resolve()
    await late
    const again = sync()
    assert.strictEqual(begun.length, 4)
    begun[3]!.resolve()
    await again
  })

  it("that fails fails for all who share it, and for no others", async () => {
    const { begun, sync } = controlled()
    const first = outcome(sync())
    const others = [outcome(sync()), outcome(sync())]
    begun[0]!.reject(new Error("first"))
    assert.strictEqual(await first, "first")
    begun[1]!.reject(new Error("second"))
    assert.deepStrictEqual(await Promise.all(others), ["second", "second"])
    const last = outcome(sync())
    begun[2]!.resolve()
    assert.strictEqual(await last, "done")
  })
})

describe("effects in turn", () => {
  it.effect("of one key run one after another, also if one is interrupted while it waits; those of others do not wait", () =>
    Effect.gen(function*() {
      const inTurn = InTurn.make()
      const order: Array<string> = []
      const gate = yield* Deferred.make<void>()
      const note = (name: string) => Effect.sync(() => void order.push(name))
      const run = (key: string, effect: Effect.Effect<void>) =>
        Effect.forkChild(inTurn(key, effect), { startImmediately: true })
      const first = yield* run("a", Effect.andThen(Deferred.await(gate), note("first")))
      const second = yield* run("a", note("second"))
      const third = yield* run("a", note("third"))
      yield* Fiber.join(yield* run("b", note("other")))
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(second), { startImmediately: true })
      assert.deepStrictEqual(order, ["other"])
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.joinAll([first, third])
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(order, ["other", "first", "third"])
    }))

  it.effect("go on after one that fails", () =>
    Effect.gen(function*() {
      const inTurn = InTurn.make()
      assert.isTrue(Exit.isFailure(yield* Effect.exit(inTurn("a", Effect.fail("no")))))
      assert.strictEqual(yield* inTurn("a", Effect.succeed(1)), 1)
    }))
})
