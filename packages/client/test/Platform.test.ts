import { Platform } from "@effect-fileio/client"
import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"

describe("Platform.portable.sha256", () => {
  it("agrees with node:crypto, for every length around a block and any split of the bytes", () => {
    const content = Uint8Array.from({ length: 70_000 }, (_, i) => (i * 131 + (i >> 7)) % 256)
    for (const length of [0, 1, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129, 1000, 70_000]) {
      const expected = createHash("sha256").update(content.subarray(0, length)).digest("hex")
      for (const step of [length || 1, 1 + (length % 61), 64]) {
        const hasher = Platform.portable.sha256()
        for (let at = 0; at < length; at += step) hasher.update(content.subarray(at, Math.min(length, at + step)))
        assert.strictEqual(hasher.digest(), expected, `${length} bytes in steps of ${step}`)
      }
    }
  })
})
