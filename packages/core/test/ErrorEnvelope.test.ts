import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result, Schema } from "effect"
import { ErrorEnvelope } from "../src/index.ts"
import * as Fixtures from "./utils/fixtures.ts"
import { assertSame } from "./utils/generators.ts"

const decode = Schema.decodeUnknownSync(ErrorEnvelope.ErrorEnvelope)

describe("ErrorEnvelope", () => {
  it("decodes the live refusal of 2022", () => {
    assert.deepStrictEqual({ ...decode(Fixtures.body("error.429.2022")) }, {
      success: false,
      status: 429,
      code: "TOO_MANY_REQUESTS",
      message: "Too many requests",
      help: "https://file.io/help/api/errors/TOO_MANY_REQUESTS",
      key: null
    })
  })

  it("decodes the older refusal, which has the status as error", () => {
    assert.deepStrictEqual({ ...decode(Fixtures.body("error.404.old")) }, {
      success: false,
      error: 404,
      message: "Not Found"
    })
  })

  it.each(["error.429.2022", "error.404.old"])("writes %s as it was", (name) => {
    assert.deepStrictEqual<unknown>(
      Schema.encodeSync(ErrorEnvelope.ErrorEnvelope)(decode(Fixtures.body(name))),
      Fixtures.body(name)
    )
  })

  it.each([
    { success: false },
    { success: false, code: "A_CODE_NOT_KNOWN_YET", status: 418 },
    { success: false, error: "Not Found" },
    { success: false, code: null, message: null, help: null, key: null },
    { success: false, limit: "maxUploadBytes", asked: 3, allowed: 2 },
    { success: false, limit: null, asked: null, allowed: null }
  ])("decodes %j", (body) => {
    assert.deepStrictEqual<unknown>({ ...decode(body) }, body)
  })

  it("ignores fields that it does not know", () => {
    assert.deepStrictEqual({ ...decode({ success: false, trace: "x" }) }, { success: false })
  })

  it.each([{}, { success: true }, { success: "false" }, { success: 0 }, { error: 404 }, [], null, "Not Found", 404])(
    "does not take %j for a refusal",
    (body) => {
      assert.isTrue(Result.isFailure(Schema.decodeUnknownResult(ErrorEnvelope.ErrorEnvelope)(body)))
    }
  )

  it.each(["upload.anonymous.2022", "upload.documented", "upload.oldest", "list.2023"])(
    "does not take %s for a refusal",
    (name) => {
      assert.isTrue(Result.isFailure(Schema.decodeUnknownResult(ErrorEnvelope.ErrorEnvelope)(Fixtures.body(name))))
    }
  )

  it.effect.prop(
    "comes back as it was written, through JSON",
    [Arbitrary.schema(ErrorEnvelope.ErrorEnvelope)],
    ([envelope]) =>
      Effect.gen(function*() {
        const wire = JSON.parse(JSON.stringify(yield* Schema.encodeEffect(ErrorEnvelope.ErrorEnvelope)(envelope)))
        assertSame(yield* Schema.decodeUnknownEffect(ErrorEnvelope.ErrorEnvelope)(wire), envelope)
      })
  )
})
