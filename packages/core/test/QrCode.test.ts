import { assert, describe, it } from "@effect/vitest"
import { encode } from "uqr"
import { QrCode } from "../src/index.ts"

/** A text with this number of bytes; lower case, so that the library uses no shorter coding of letters. */
const textOf = (bytes: number): string =>
  "https://a/#age=é".repeat(bytes / 17 + 1).slice(0, bytes - Math.floor(bytes / 17))

describe("QrCode.encode", () => {
  it("returns what uqr does with the same mask, in all forty versions", () => {
    const versions = new Set<number>()
    for (let bytes = 1; bytes <= 2953; bytes += Math.ceil(bytes / 25)) {
      const text = textOf(bytes)
      const { data, version } = encode(text, { ecc: "L", boostEcc: false, border: 0, maskPattern: 0 })
      versions.add(version)
      assert.deepStrictEqual(QrCode.encode(text), data, `${bytes} bytes`)
    }
    assert.strictEqual(versions.size, 40)
    assert.strictEqual(QrCode.encode("a".repeat(2953)).length, 177)
    assert.throws(() => QrCode.encode("a".repeat(2954)), /too long/)
  })
})
