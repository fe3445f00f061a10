import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, DateTime, Effect, Schema } from "effect"
import { FileDetails } from "../src/index.ts"
import * as Fixtures from "./utils/fixtures.ts"
import { assertSame } from "./utils/generators.ts"

const decode = Schema.decodeUnknownSync(FileDetails.FileDetails)
const utc = (iso: string) => DateTime.toUtc(DateTime.makeUnsafe(iso))
const plain = (details: FileDetails.FileDetails): Record<string, unknown> => ({ ...details })

describe("FileDetails", () => {
  it("the fixtures are the ones that these tests decode", () => {
    assert.deepStrictEqual([...Fixtures.names].toSorted(), [
      "error.404.old",
      "error.429.2022",
      "list.2023",
      "upload.anonymous.2022",
      "upload.anonymous.2024",
      "upload.documented",
      "upload.oldest"
    ])
  })

  it("decodes the live response of 2022", () => {
    const details = decode(Fixtures.body("upload.anonymous.2022"))
    assert.instanceOf(details, FileDetails.FileDetails)
    assert.deepStrictEqual(plain(details), {
      id: "f00c8350-38a3-11ed-9c58-b7e8b46498c9",
      key: "dGic53MOudXn",
      path: "/",
      nodeType: "file",
      name: "Untitled.game",
      title: null,
      description: null,
      size: 1584,
      link: "https://file.io/dGic53MOudXn",
      private: false,
      expires: utc("2022-09-21T00:00:00.000Z"),
      downloads: 0,
      maxDownloads: 1,
      autoDelete: true,
      planId: 0,
      screeningStatus: "pending",
      mimeType: "application/octet-stream",
      created: utc("2022-09-20T05:20:27.640Z"),
      modified: utc("2022-09-20T05:20:27.640Z")
    })
    assert.strictEqual(details.downloadsLeft, 1)
  })

  it("decodes the live response of 2024", () => {
    assert.deepStrictEqual(plain(decode(Fixtures.body("upload.anonymous.2024"))), {
      id: "d3e8b360-6a9c-11ef-84e6-698f82efe096",
      key: "OpFcoD21ewSG",
      path: "/",
      nodeType: "file",
      name: "grp11.sa.te-labs.training.png",
      title: null,
      description: null,
      size: 144179,
      link: "https://file.io/OpFcoD21ewSG",
      private: false,
      expires: utc("2024-09-18T09:05:27.433Z"),
      downloads: 0,
      maxDownloads: 1,
      autoDelete: true,
      planId: 0,
      screeningStatus: "pending",
      mimeType: "image/png",
      created: utc("2024-09-04T09:05:27.433Z"),
      modified: utc("2024-09-04T09:05:27.433Z")
    })
  })

  it("decodes the documented response, which lacks path to screeningStatus and has expiry", () => {
    const details = decode(Fixtures.body("upload.documented"))
    assert.deepStrictEqual(plain(details), {
      id: "3fa85f64-5717-4562-b3fc-2c963f66afa6",
      key: "string",
      name: "string",
      link: "string",
      expires: utc("2022-04-12T21:59:02.949Z"),
      expiry: "string",
      downloads: 0,
      maxDownloads: 0,
      autoDelete: true,
      size: 0,
      mimeType: "string",
      created: utc("2022-04-12T21:59:02.949Z"),
      modified: utc("2022-04-12T21:59:02.949Z")
    })
    assert.strictEqual(details.downloadsLeft, 0)
  })

  it("decodes the oldest response: key, link, expiry and nothing else", () => {
    const details = decode(Fixtures.body("upload.oldest"))
    assert.deepStrictEqual(plain(details), { key: "2ojE41", link: "https://file.io/2ojE41", expiry: "14 days" })
    assert.isUndefined(details.downloadsLeft)
  })

  it.each(["upload.anonymous.2022", "upload.anonymous.2024", "upload.documented", "upload.oldest"])(
    "writes %s as it was, but for the envelope",
    (name) => {
      const { status: _status, success: _success, ...wire } = Fixtures.body(name) as Record<string, unknown>
      assert.deepStrictEqual<unknown>(Schema.encodeSync(FileDetails.FileDetails)(decode(wire)), wire)
    }
  )

  it("distinguishes null, which means none, from absent, which means not sent", () => {
    const { key, link } = { key: "abcdef", link: "https://file.io/abcdef" }
    const none = decode({ key, link, expires: null, maxDownloads: null, title: null })
    assert.deepStrictEqual(plain(none), { key, link, expires: null, maxDownloads: null, title: null })
    assert.deepStrictEqual(plain(decode({ key, link })), { key, link })
  })

  it.each([
    [{ maxDownloads: 3, downloads: 1 }, 2],
    [{ maxDownloads: 3 }, 3],
    [{ maxDownloads: 1, downloads: 1 }, 0],
    [{ maxDownloads: 1, downloads: 5 }, 0],
    [{ maxDownloads: null, downloads: 5 }, "unlimited" as const],
    [{ downloads: 5 }, undefined]
  ])("%j leaves %s downloads", (fields, left) => {
    assert.strictEqual(decode({ key: "abcdef", link: "l", ...fields }).downloadsLeft, left)
  })

  it("ignores fields that it does not know", () => {
    assert.notProperty(decode({ key: "abcdef", link: "l", brandNew: { a: 1 } }), "brandNew")
  })

  it("reads a time without a zone as UTC", () => {
    const details = decode({ key: "abcdef", link: "l", expires: "2030-01-01T00:00:00" })
    assert.deepStrictEqual(details.expires, utc("2030-01-01T00:00:00Z"))
  })

  it.each([
    [{}, "key"],
    [{ key: "abcdef" }, "link"],
    [{ key: "../../x", link: "l" }, "key"],
    [{ key: 12345, link: "l" }, "key"],
    [{ key: "abcdef", link: null }, "link"],
    [{ key: "abcdef", link: "l", size: "5" }, "size"],
    [{ key: "abcdef", link: "l", expires: "soon" }, "expires"],
    [{ key: "abcdef", link: "l", expires: 5 }, "expires"]
  ])("refuses %j and names the field", (body, field) => {
    assert.throws(() => decode(body), `["${field}"]`)
  })

  it.effect.prop(
    "details come back as they were written, through JSON",
    [Arbitrary.schema(FileDetails.FileDetails)],
    ([details]) =>
      Effect.gen(function*() {
        const wire = JSON.parse(JSON.stringify(yield* Schema.encodeEffect(FileDetails.FileDetails)(details)))
        assertSame(yield* Schema.decodeUnknownEffect(FileDetails.FileDetails)(wire), details)
      })
  )
})
