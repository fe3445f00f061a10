import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Effect, Result, Schema } from "effect"
import { FileDetails, FileList } from "../src/index.ts"
import * as Fixtures from "./utils/fixtures.ts"
import { assertSame } from "./utils/generators.ts"

const decode = Schema.decodeUnknownSync(FileList.FileListFromWire)
const encode = Schema.encodeSync(FileList.FileListFromWire)
const file = { key: "abcdef", link: "https://file.io/abcdef" }

describe("FileListFromWire", () => {
  it("decodes the live response of 2023, which has the files as nodes", () => {
    const body = Fixtures.body("list.2023") as { readonly nodes: ReadonlyArray<unknown> }
    const list = decode(body)
    assert.instanceOf(list, FileList.FileList)
    assert.strictEqual(list.count, 4)
    assert.strictEqual(list.size, 32)
    assert.strictEqual(list.screeningStatus, "passed")
    assert.deepStrictEqual(
      list.files,
      body.nodes.map((node) => Schema.decodeUnknownSync(FileDetails.FileDetails)(node))
    )
    assert.deepStrictEqual(list.files.map((found) => found.name), ["File5.txt", "File4.txt", "File2.txt", "File1.txt"])
    for (const found of list.files) assert.instanceOf(found, FileDetails.FileDetails)
  })

  it("encodes that response as it was, without the envelope", () => {
    const { status: _status, success: _success, ...wire } = Fixtures.body("list.2023") as Record<string, unknown>
    assert.deepStrictEqual<unknown>(encode(decode(wire)), wire)
  })

  it("decodes the documented form, which has the files as files", () => {
    const list = decode({ success: true, status: 200, files: [file], count: 9, size: 5 })
    assert.deepStrictEqual(list.files.map((found) => found.key as string), ["abcdef"])
    assert.strictEqual(list.count, 9)
    assert.deepStrictEqual<unknown>(encode(list), { nodes: [file], count: 9, size: 5 })
  })

  it("takes nodes where both are there", () => {
    assert.strictEqual(decode({ nodes: [file], files: [] }).files.length, 1)
  })

  it("counts the files of the page where the host gives no count", () => {
    assert.strictEqual(decode({ nodes: [file, file] }).count, 2)
    assert.strictEqual(decode({ nodes: [] }).count, 0)
    assert.strictEqual(decode({ nodes: [], count: 7 }).count, 7)
  })

  it("keeps fields absent that the host did not send", () => {
    assert.deepStrictEqual(Object.keys(decode({ nodes: [] })).toSorted(), ["count", "files"])
    assert.deepStrictEqual<unknown>(encode(decode({ nodes: [], screeningStatus: null })), {
      nodes: [],
      count: 0,
      screeningStatus: null
    })
  })

  it.each([{}, { success: true, status: 200 }, { count: 0 }])("refuses %j, a response without files", (body) => {
    const result = Schema.decodeUnknownResult(FileList.FileListFromWire)(body)
    assert.isTrue(Result.isFailure(result))
    if (Result.isFailure(result)) assert.include(result.failure.message, "expected the files as `nodes` or `files`")
  })

  it.each([{ nodes: "none" }, { nodes: [{}] }, { nodes: [null] }, { nodes: [file], count: "1" }, [], null, "text"])(
    "refuses %j",
    (body) => {
      assert.isTrue(Result.isFailure(Schema.decodeUnknownResult(FileList.FileListFromWire)(body)))
    }
  )

  it.effect.prop(
    "a list comes back as it was written, through JSON",
    [Arbitrary.schema(FileList.FileList)],
    ([list]) =>
      Effect.gen(function*() {
        const wire = JSON.parse(JSON.stringify(yield* Schema.encodeEffect(FileList.FileListFromWire)(list)))
        assertSame(yield* Schema.decodeUnknownEffect(FileList.FileListFromWire)(wire), list)
      }),
    { arbitrary: { runs: 50 } }
  )
})
