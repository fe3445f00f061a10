import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Redacted, Result, Schema } from "effect"
import { FileKey, FileName, PlainText } from "../src/index.ts"
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
    `<https://file.io/${KEY.slice(0, 9)}\n${KEY.slice(9)}>.`,
    `\u200Bhttps://file.io/${KEY}\u200B`,
    `\u200E\uFEFFhttps://file.io/${KEY}/\u200D`,
    `\u2068https://file.io/${KEY}\u2069`,
    `"\u200Bhttps://file.io/${KEY}\u200F".`,
    `https://file.io/${KEY.slice(0, 6)}\u200B\n\u200B${KEY.slice(6)}\u200C`
  ])("reads %j, as it was pasted", (input) => {
    assert.deepStrictEqual(read(input), { key: FileKey.FileKey.make(KEY), host: "file.io", sha256: undefined })
    assert.strictEqual(FileKey.baseUrl(input), "https://file.io")
  })

  it.each([`<${KEY}>`, `"${KEY}"`, `${KEY}.`, `(${KEY})`, `\u200B${KEY}\uFEFF`])("reads %j, a pasted key", (input) => {
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

describe("the link of an encrypted file", () => {
  const IDENTITY = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"
  const HOST = `https://file.io/${KEY}`
  const secretOf = ({ opener }: FileKey.FileLink) =>
    opener?._tag === "Secret" ? Redacted.value(opener.identity) : opener

  it("has what opens it and its name in the fragment, in any order and beside a digest", () => {
    for (
      const link of [
        `${HOST}#age=${IDENTITY}&name=a%20b.pdf`,
        `${KEY}#name=a%20b.pdf&age=${IDENTITY.toLowerCase()}`,
        `<${HOST}#age=${IDENTITY}&name=a+b.pdf>.`,
        `${HOST}#age=${IDENTITY.slice(0, 30)}\r\n${IDENTITY.slice(30)}&name=a%20b.pdf`,
        `> ${HOST}#age=\n> ${IDENTITY}&name=\n> a%20b.pdf`
      ]
    ) {
      const { key, name, ...rest } = read(link)
      assert.deepStrictEqual([key, name, secretOf(rest as FileKey.FileLink)], [KEY, "a b.pdf", IDENTITY], link)
    }
    assert.strictEqual(read(`${HOST}#age=${IDENTITY}&sha256=${DIGEST}`).sha256, DIGEST)
    assert.deepStrictEqual(read(`${HOST}#age=identity`).opener, { _tag: "Identity" })
    assert.deepStrictEqual(read(`${HOST}#age=passphrase`).opener, { _tag: "Passphrase" })
    assert.strictEqual(FileKey.baseUrl(`${HOST}#age=${IDENTITY}`), "https://file.io")
  })

  it("is refused if its secret is cut or mistyped, and the refusal does not have it", () => {
    for (
      const age of ["", "AGE-SECRET-KEY-1", IDENTITY.slice(0, -1), IDENTITY.replace("EGTZ", "EGTY"), "passphrases"]
    ) {
      const problem = refusal(`${HOST}#age=${age}`)
      assert.match(problem, /#age=/)
      assert.notInclude(problem, "EGT")
    }
  })

  it("has a name that is safe on any disk, whatever a stranger wrote there", () => {
    for (const name of ["..%2F..%2Fetc%2Fpasswd", "..%5C..%5Cpasswd", "pass%00wd", "%E2%80%AEpasswd"]) {
      assert.match(read(`${HOST}#age=identity&name=${name}`).name!, /^passwd$/)
    }
    assert.strictEqual(read(`${HOST}#age=identity&name=.bashrc`).name, "_.bashrc")
    assert.isUndefined(read(`${HOST}#age=identity&name=`).name)
  })

  // The client refuses longer names.
  const shortName = Arbitrary.filter(text, (name) => new TextEncoder().encode(name).length <= 1024)

  it.prop(
    "goes through a text and back, with any name, also as the last words of a sentence",
    [shortName],
    ([name]) => {
      const link = FileKey.encryptedLink(`${HOST}#old`, Redacted.make(IDENTITY), name)
      for (const form of [link, `(${link}).`, `"${link}",`]) {
        const back = read(form)
        assert.strictEqual(secretOf(back), IDENTITY)
        if (name !== "") assert.strictEqual(back.name, FileName.sanitize(name))
      }
    }
  )

  it("is refused if its secret is not where it belongs, since the download would not decrypt the file", () => {
    const forms = [
      `#age=${IDENTITY}`,
      `age%3D${IDENTITY}`,
      "#age=passphrase",
      "AGE=identity",
      "/age=identity",
      "!age%3didentity",
      IDENTITY,
      `secret=${IDENTITY.toLowerCase()}`,
      `name=a.pdf#age=${IDENTITY}`,
      `sha256=${DIGEST}#age=${IDENTITY}`
    ]
    for (const form of forms) assert.notMatch(refusal(`${HOST}#${form}`), /EGTZ/i, form)
    assert.match(refusal(`${HOST}?age=${IDENTITY}`), /copy the whole link again/)
    // Other fragments, and names, are their owners'.
    for (const other of ["page=3", "message", "name=age.pdf"]) assert.isUndefined(read(`${HOST}#${other}`).opener)
  })

  it("is shown without its fragment, and in other texts without secrets", () => {
    for (const opener of [IDENTITY, IDENTITY.toLowerCase(), "AGE-SECRET-KEY-PQ-1EGTZ", "EGTZ", "identityEGTZ"]) {
      const text = PlainText.withoutSecrets(`no such file "${HOST}#age=${opener}&name=a.pdf", see --help`)
      assert.notMatch(text, /EGTZ/i)
      assert.match(text, /name=a.pdf", see --help$/)
    }
    for (const opener of ["identity", "passphrase"]) {
      assert.strictEqual(PlainText.withoutSecrets(`${HOST}#age=${opener}&name=a`), `${HOST}#age=${opener}&name=a`)
    }
    assert.strictEqual(FileKey.withoutFragment(`${HOST}#age=${IDENTITY}\nmore`), HOST)
    assert.notInclude(FileKey.withoutFragment(IDENTITY), "EGTZ")
    assert.strictEqual(FileKey.withoutFragment(KEY), KEY)
    assert.notInclude(JSON.stringify(read(`${HOST}#age=${IDENTITY}`)), "EGTZ")
  })
})
