import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result, Schema } from "effect"
import { Account } from "../src/index.ts"
import { assertSame } from "./utils/generators.ts"

const decode = Schema.decodeUnknownSync(Account.AccountFromWire)
const encode = Schema.encodeSync(Account.AccountFromWire)

const LIMITS = ["maxUploadBytes", "maxStorageBytes", "usedStorageBytes", "rateLimit"] as const

const documented = {
  success: true,
  status: 200,
  planId: 0,
  maxUploadBytes: 2147483648,
  maxStorageBytes: 4294967296,
  usedStorageBytes: 1024,
  rateLimit: 1,
  customDomain: null,
  directDownload: 0,
  paymentCustomerId: "cus_1",
  paymentSubscriptionId: null
}

describe("AccountFromWire", () => {
  it("decodes the documented response and leaves the envelope out", () => {
    const account = decode(documented)
    assert.instanceOf(account, Account.Account)
    assert.deepStrictEqual<unknown>({ ...account }, {
      planId: 0,
      maxUploadBytes: 2147483648,
      maxStorageBytes: 4294967296,
      usedStorageBytes: 1024,
      rateLimit: 1,
      customDomain: null,
      directDownload: false,
      paymentCustomerId: "cus_1",
      paymentSubscriptionId: null,
      extra: {}
    })
  })

  it("writes it as it was, but for the envelope", () => {
    const { status: _status, success: _success, ...wire } = documented
    assert.deepStrictEqual<unknown>(encode(decode(wire)), wire)
  })

  it.each([
    [0, false],
    [1, true],
    ["0", false],
    ["1", true],
    ["", false],
    ["false", false],
    ["False", false],
    ["no", false],
    ["true", true],
    ["yes", true],
    [true, true],
    [false, false],
    [null, undefined],
    [undefined, undefined]
  ])("reads directDownload %j as %s", (directDownload, expected) => {
    const account = decode(directDownload === undefined ? {} : { directDownload })
    assert.strictEqual(account.directDownload, expected)
    assert.deepStrictEqual(account.extra, {})
  })

  it("keeps unknown fields", () => {
    const extra = { email: "a@example.org", nested: { list: [1, null, "x"], on: true }, nothing: null }
    const account = decode({ ...documented, ...extra })
    assert.deepStrictEqual<unknown>(account.extra, extra)
    assert.deepInclude(encode(account), extra)
  })

  it("decodes a response where all is null, and an empty one", () => {
    const nulls = Object.fromEntries(
      Object.keys(documented).filter((name) => name !== "success" && name !== "status").map((name) => [name, null])
    )
    const { directDownload: _, ...kept } = nulls
    assert.deepStrictEqual<unknown>({ ...decode(nulls) }, { ...kept, extra: {} })
    assert.deepStrictEqual<unknown>({ ...decode({}) }, { extra: {} })
  })

  it.each([
    { rateLimit: 0 },
    { rateLimit: -1 },
    { rateLimit: 0.5 },
    { rateLimit: -0 },
    { maxUploadBytes: 0 },
    { maxUploadBytes: -1 },
    { maxStorageBytes: 0 },
    { maxStorageBytes: -1 },
    { usedStorageBytes: -5 }
  ])("takes a limit that nothing can meet for none that was told, and keeps what was written: %j", (limit) => {
    assert.deepStrictEqual<unknown>({ ...decode({ planId: 1, ...limit }) }, { planId: 1, extra: limit })
    assert.deepStrictEqual<unknown>(encode(decode(limit)), limit)
  })

  it.each([{ rateLimit: 1 }, { rateLimit: 2.5 }, { maxUploadBytes: 1 }, { usedStorageBytes: 0 }])(
    "reads %j",
    (limit) => {
      assert.deepStrictEqual<unknown>({ ...decode(limit) }, { ...limit, extra: {} })
    }
  )

  it("reads a plan that is a word", () => {
    assert.strictEqual(decode({ planId: "premium" }).planId, "premium")
  })

  it.each([
    `{"__proto__":{"polluted":1,"maxUploadBytes":5,"directDownload":1},"planId":1}`,
    `{"constructor":{"prototype":{"polluted":1}},"toString":"x","hasOwnProperty":1,"valueOf":null,"planId":1}`,
    `{"extra":{"__proto__":{"polluted":1}},"nested":{"__proto__":{"polluted":1}},"planId":1}`
  ])("a hostile field changes nothing but the record of unknown fields: %s", (json) => {
    const account = decode(JSON.parse(json))
    assert.strictEqual(account.planId, 1)
    assert.isUndefined(account.maxUploadBytes)
    assert.isUndefined(account.directDownload)
    assert.deepStrictEqual(Object.keys(account).toSorted(), ["extra", "planId"])
    assert.strictEqual(Object.getPrototypeOf(account), Account.Account.prototype)
    assert.strictEqual(Object.getPrototypeOf(account.extra), Object.prototype)
    assert.isUndefined((account as unknown as { readonly polluted?: number }).polluted)
    assert.isUndefined((account.extra as { readonly polluted?: number }).polluted)
    assert.isUndefined(({} as { readonly polluted?: number }).polluted)
    assert.sameMembers(Object.keys(account.extra), Object.keys(JSON.parse(json)).filter((name) => name !== "planId"))
    const { planId: _, ...unknown } = JSON.parse(json) as Record<string, unknown>
    assert.strictEqual(JSON.stringify(account.extra), JSON.stringify(unknown))
  })

  it("unknown fields never replace known ones when an account is written", () => {
    const account = new Account.Account({
      planId: 1,
      directDownload: true,
      extra: { planId: 9, directDownload: 0, more: 1 }
    })
    assert.deepStrictEqual<unknown>(encode(account), { planId: 1, directDownload: 1, more: 1 })
  })

  it.each([{ maxUploadBytes: "2" }, { rateLimit: {} }, { customDomain: 5 }, { directDownload: {} }, [], null, "text"])(
    "refuses %j",
    (body) => {
      assert.isTrue(Result.isFailure(Schema.decodeUnknownResult(Account.AccountFromWire)(body)))
    }
  )

  it.effect.prop("an account comes back as it was written, through JSON", [
    Arbitrary.map(Arbitrary.schema(Account.Account), ({ extra, ...rest }) => {
      const known = { ...rest }
      const taken = new Set([...Object.keys(documented), "success", "status"])
      const others = Object.entries(extra).filter(([name]) => !taken.has(name))
      for (const limit of LIMITS) if (typeof known[limit] === "number") known[limit] = Math.abs(known[limit]) + 1
      return new Account.Account({ ...known, extra: JSON.parse(JSON.stringify(Object.fromEntries(others))) })
    })
  ], ([account]) =>
    Effect.gen(function*() {
      const wire = JSON.parse(JSON.stringify(yield* Schema.encodeEffect(Account.AccountFromWire)(account)))
      assertSame(yield* Schema.decodeUnknownEffect(Account.AccountFromWire)(wire), account)
    }))
})

describe("Account.storageLeft", () => {
  it.each([
    [{ maxStorageBytes: 10, usedStorageBytes: 4 }, 6],
    [{ maxStorageBytes: 10, usedStorageBytes: 10 }, 0],
    [{ maxStorageBytes: 10, usedStorageBytes: 12 }, 0],
    [{ maxStorageBytes: 10, usedStorageBytes: null }, undefined],
    [{ maxStorageBytes: null, usedStorageBytes: 4 }, undefined],
    [{ maxStorageBytes: 10 }, undefined],
    [{}, undefined]
  ])("of %j is %s", (fields, left) => {
    assert.strictEqual(decode(fields).storageLeft, left)
  })
})
