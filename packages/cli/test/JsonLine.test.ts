import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { jsonSchema, path } from "./jsonSchema.ts"

describe("the JSON Schema of --json", () => {
  it("is current; if not: node packages/cli/scripts/json-schema.ts", () => {
    assert.deepStrictEqual(JSON.parse(readFileSync(path, "utf8")), JSON.parse(jsonSchema()))
  })
})
