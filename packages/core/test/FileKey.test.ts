import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Result, Schema } from "effect"
import { FileKey } from "../src/index.ts"
import { assertLinear, EVIL } from "./utils/evil.ts"
import { literals, text } from "./utils/generators.ts"

const KEY = "2ojE41abcDEF"
const DIGEST = "0123456789abcdef".repeat(4)

const read = (input: string): FileKey.FileLink => {
  const result = FileKey.parse(input)
  if (Result.isFailure(result)) assert.fail(`refused ${JSON.stringify(input)}: ${result.failure}`)
  return result.success
}

const refusal = (input: string): string => {
  const result = FileKey.parse(input)
  if (Result.isSuccess(result)) assert.fail(`accepted ${JSON.stringify(input)} as ${JSON.stringify(result.success)}`)
  return result.failure
}

describe("FileKey", () => {
  it.each(["2ojE4", "2ojE41", "OpFcoD21ewSG", "a".repeat(64)])("takes %s", (key) => {
    assert.isTrue(Schema.is(FileKey.FileKey)(key))
    assert.deepStrictEqual(read(key), { key: FileKey.FileKey.make(key), host: undefined, sha256: undefined })
  })

  it.each([
    "",
    "abcd",
    "a".repeat(65),
    "abc-def",
    "abc def",
    "abcdé",
    "ａｂｃｄｅ",
    "abcde\n",
    "../etc",
    "abc%41",
    "abcde\u0000",
    "١٢٣٤٥"
  ])("does not take %j", (key) => {
    assert.isFalse(Schema.is(FileKey.FileKey)(key))
  })

  it("compares letters exactly", () => {
    assert.notStrictEqual(read("abcDEF").key, read("ABCdef").key)
  })
})

describe("FileKey.parse", () => {
  it.each([
    [KEY, undefined],
    [` ${KEY}\n`, undefined],
    [`${KEY}/`, undefined],
    [`${KEY}?a=b`, undefined],
    [`${KEY}#top`, undefined],
    [`/${KEY}`, undefined],
    [`/${KEY}/`, undefined],
    [`/download/${KEY}`, undefined],
    [`file.io/${KEY}`, "file.io"],
    [`//file.io/${KEY}`, "file.io"],
    [`localhost:3000/${KEY}`, "localhost:3000"],
    [`[::1]:3000/${KEY}`, "[::1]:3000"],
    [`https://file.io/${KEY}`, "file.io"],
    [`http://127.0.0.1:8080/${KEY}`, "127.0.0.1:8080"],
    [`HTTPS://File.IO/${KEY}`, "file.io"],
    [`https://file.io:443/${KEY}`, "file.io"],
    [`https://file.io/${KEY}/`, "file.io"],
    [`https://www.file.io/download/${KEY}`, "www.file.io"],
    [`https://example.org/a/b/${KEY}`, "example.org"],
    [`https://file.io/${KEY}?utm_source=mail&x=/y`, "file.io"],
    [`https://file.io/${KEY}?#`, "file.io"],
    [`https://file.io//${KEY}//`, "file.io"],
    [`https://user:pass@file.io/${KEY}`, "file.io"]
  ])("reads %j", (input, host) => {
    assert.deepStrictEqual(read(input), { key: FileKey.FileKey.make(KEY), host, sha256: undefined })
  })

  it.each([
    `https://file.io/${KEY}#sha256=${DIGEST}`,
    `https://file.io/${KEY}#sha256=${DIGEST.toUpperCase()}`,
    `file.io/${KEY}/?a=b#name=x&sha256=${DIGEST}`,
    `/${KEY}#sha256=${DIGEST}`,
    `${KEY}#sha256=${DIGEST}`
  ])("takes the digest out of %s", (input) => {
    assert.strictEqual(read(input).sha256, DIGEST)
    assert.strictEqual(read(input).key, KEY)
  })

  it.each(["", "abc", DIGEST.slice(1), `${DIGEST}0`, DIGEST.replace("0", "g"), `0x${DIGEST.slice(2)}`])(
    "refuses the digest %j instead of not checking it",
    (digest) => {
      assert.include(refusal(`https://file.io/${KEY}#sha256=${digest}`), "#sha256= is not a SHA-256 digest")
    }
  )

  it.each([
    "",
    "   ",
    "abcd",
    "https://",
    "http://",
    "https://file.io",
    "https://file.io/",
    "file.io",
    "/",
    "//",
    "?",
    "#",
    "...",
    "https:///",
    "https://file.io/abc",
    "https://file.io/ab-cd-ef",
    `https://file.io/${"a".repeat(65)}`,
    `https://file.io/${KEY}/..`,
    `https://file.io/${KEY}.txt`,
    `https://file.io/%32ojE41abcDEF`,
    `https://file.io/?key=${KEY}`,
    `https://file.io/#${KEY}`,
    `https://a b/${KEY}`,
    `https://[::1/${KEY}`,
    `https://file.io:99999/${KEY}`
  ])("refuses %j", (input) => {
    assert.match(refusal(input), /key/)
  })

  it.each([
    `ftp://file.io/${KEY}`,
    `file:///${KEY}`,
    `javascript:alert(1)/${KEY}`,
    `data:,/${KEY}`,
    `https:/file.io/${KEY}`
  ])(
    "refuses %j, an address of another kind",
    (input) => {
      assert.include(refusal(input), "http or https")
    }
  )

  it.each([
    `<https://file.io/${KEY}>`,
    `<URL:https://file.io/${KEY}>`,
    `(https://file.io/${KEY}).`,
    `"https://file.io/${KEY}",`,
    `\u201Ehttps://file.io/${KEY}\u201C`,
    `\u00ABhttps://file.io/${KEY}\u00BB!`,
    `*https://file.io/${KEY}*`,
    `[report.pdf](https://file.io/${KEY})`,
    `> https://file.io/${KEY}`,
    `https://file.io/${KEY}.`,
    `https://file.io/${KEY}...`,
    `https://file.io/${KEY}\u2026`,
    `https://file.io/${KEY})`,
    `https://file.io/${KEY}/?utm_source=mail.`,
    `https://file.io/${KEY}&utm_source=mail`,
    `https://file.io/${KEY}?fbclid=IwAR0x&utm_campaign=a/b`,
    `file.io/${KEY},`,
    `https://file.io/down\nload/${KEY}`,
    `https://file.io/downlo\r\n  ad/${KEY}`,
    `https://\nfile.io/${KEY}`,
    `https://file.io/${KEY.slice(0, 6)}\n${KEY.slice(6)}`,
    `> https://file.io/${KEY.slice(0, 6)}\n> ${KEY.slice(6)}`,
    `https://file.io/${KEY.slice(0, 3)}=\n${KEY.slice(3)}`,
    `https://file.io/${KEY}?utm_source=\nmail`,
    `<https://file.io/${KEY.slice(0, 9)}\n${KEY.slice(9)}>.`
  ])("reads %j, as it was pasted", (input) => {
    assert.deepStrictEqual(read(input), { key: FileKey.FileKey.make(KEY), host: "file.io", sha256: undefined })
    assert.strictEqual(FileKey.baseUrl(input), "https://file.io")
  })

  it.each([`<${KEY}>`, `"${KEY}"`, `${KEY}.`, `(${KEY})`])("reads %j, a pasted key", (input) => {
    assert.deepStrictEqual(read(input), { key: FileKey.FileKey.make(KEY), host: undefined, sha256: undefined })
  })

  it.each([
    `https://file.io/${KEY}#sha256=${DIGEST}.`,
    `https://file.io/${KEY}#sha256=\n${DIGEST}`,
    `https://file.io/${KEY}#sha256=${DIGEST.slice(0, 40)}\n${DIGEST.slice(40)}`,
    `https://file.io/${KEY}\n#sha256=${DIGEST}`
  ])("keeps the digest of %j", (input) => {
    assert.deepStrictEqual(read(input), { key: FileKey.FileKey.make(KEY), host: "file.io", sha256: DIGEST })
  })

  it.each([
    `https://file.io/${KEY}\nthanks`,
    `https://file.io/${KEY}\nSee you at eight!`,
    `https://file.io/abcde\nfghij`,
    `https://file.io/${KEY}\n#sha256=${DIGEST.slice(1)}`,
    `${KEY}\n${KEY}`
  ])("does not guess where the key of %j ends", (input) => {
    assert.match(refusal(input), /broken over several lines|not a SHA-256 digest/)
  })

  it.each([
    ["https://file.io", "read as a link to file.io without a key"],
    ["https://share.example:8443/a/b.txt", "read as a link to share.example:8443, but its last part is no key"],
    ["https://share.example/abc", "it has 3 characters"],
    [`https://share.example/${KEY}.txt`, "it contains ."],
    [`https://share.example/x%20${KEY}`, "it contains %"],
    [`https://share.example/${"a".repeat(65)}`, "it has 65 characters"],
    ["a".repeat(9000), "at most 8192 characters"]
  ])("says of %s: %s", (input, words) => {
    assert.include(refusal(input), words)
  })

  it.each([
    [KEY, undefined],
    [`/${KEY}`, undefined],
    ["no link", undefined],
    [`file.io/${KEY}`, "https://file.io"],
    [`//file.io/${KEY}`, "https://file.io"],
    [`localhost:3000/${KEY}`, "http://localhost:3000"],
    [`127.0.0.1:3000/${KEY}`, "http://127.0.0.1:3000"],
    [`[::1]:3000/${KEY}`, "http://[::1]:3000"],
    [`localhost.example/${KEY}`, "https://localhost.example"],
    [`http://share.example/a/b/${KEY}?x=y#z`, "http://share.example/a/b"],
    [`https://share.example/a/download/${KEY}/`, "https://share.example/a"],
    [`https://user:pass@share.example/${KEY}`, "https://share.example"],
    [`https://share.example/${KEY}/${KEY}`, `https://share.example/${KEY}`]
  ])("the API of %j is at %s", (input, expected) => {
    assert.strictEqual(FileKey.baseUrl(input), expected)
  })

  it.each(EVIL)("reads a mebibyte of %s, and the longest link, in linear time", (_, piece) => {
    for (const start of ["", "https://", "https://h/", "https://h/abcdef#sha256="]) {
      assertLinear(piece, (evil) => FileKey.parse(start + evil))
      assertLinear(piece, (evil) => FileKey.parse((start + evil).slice(0, 8192)))
    }
  })

  const parts = {
    key: Arbitrary.schema(FileKey.FileKey),
    scheme: literals(["https://", "http://", "HTTPS://", ""]),
    host: literals([
      "file.io",
      "www.file.io",
      "localhost:3000",
      "127.0.0.1",
      "[::1]:8443",
      "xn--bcher-kva.example",
      "share"
    ]),
    prefix: literals(["", "/download", "/a/b/c", "/%20x", "/api/v1.0"]),
    slash: literals(["", "/"]),
    query: literals(["", "?", "?a=b", "?next=https://evil.example/OTHERKEY", "?x=%zz&y=/"]),
    fragment: literals(["", "#", "#top", "#/OTHERKEY", "#a=b&c=%zz"]),
    space: literals(["", " ", "\n"])
  }

  it.prop("the key and the host come out of any link", parts, (p) => {
    const link = `${p.space}${p.scheme}${p.host}${p.prefix}/${p.key}${p.slash}${p.query}${p.fragment}${p.space}`
    assert.deepStrictEqual(read(link), { key: p.key, host: p.host, sha256: undefined })
  }, { arbitrary: { runs: 500 } })

  it.prop("the key comes out of what has no host", parts, (p) => {
    assert.deepStrictEqual(read(`/${p.key}${p.slash}${p.query}${p.fragment}`), {
      key: p.key,
      host: undefined,
      sha256: undefined
    })
    assert.deepStrictEqual(read(`${p.key}${p.slash}${p.query}${p.fragment}`), {
      key: p.key,
      host: undefined,
      sha256: undefined
    })
  }, { arbitrary: { runs: 200 } })

  it.prop("hostile text never throws; what comes out is a key", [
    text,
    literals(["", "https://", "https://file.io/", "/"])
  ], (
    [input, start]
  ) => {
    const result = FileKey.parse(start + input)
    if (Result.isSuccess(result)) assert.isTrue(Schema.is(FileKey.FileKey)(result.success.key))
  }, { arbitrary: { runs: 1000 } })

  it.prop("a refusal never repeats the input, which may be a secret", [
    Arbitrary.schema(FileKey.FileKey),
    literals([
      "https://file.io/KEY.txt",
      "https://file.io/KEY-",
      "ftp://file.io/KEY",
      "https://a b/KEY",
      "https://file.io/KEY#sha256=KEY",
      "KEY KEY",
      "https://KEY:99999/x",
      "/KEY/x"
    ])
  ], ([key, form]) => {
    const secret = `${key}Secret0`.slice(-64)
    assert.notInclude(refusal(form.replaceAll("KEY", secret)).toLowerCase(), secret.toLowerCase())
  }, { arbitrary: { runs: 200 } })
})
