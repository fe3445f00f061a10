import { assert, describe, it } from "@effect/vitest"
import * as ContentEncoding from "../src/internal/request/contentEncoding.ts"

const response = (headers: Readonly<Record<string, string>>) => ({ url: "", status: 200, isDecoded: false, headers })

describe("the bytes of a response", () => {
  it("are encoded also by a transfer coding, which transports do not remove", () => {
    assert.isFalse(ContentEncoding.isEncoded(response({ "transfer-encoding": "chunked" })))
    assert.isFalse(ContentEncoding.isEncoded(response({ "content-encoding": "identity" })))
    const gzip = response({ "transfer-encoding": "gzip, chunked" })
    assert.isTrue(ContentEncoding.isEncoded(gzip))
    assert.isUndefined(ContentEncoding.unknownOf(gzip))
    const twice = response({ "content-encoding": "gzip", "transfer-encoding": "gzip, chunked" })
    assert.strictEqual(ContentEncoding.unknownOf(twice), "gzip, gzip")
  })
})
