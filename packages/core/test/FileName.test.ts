import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Option, Result, Schema } from "effect"
import * as Path from "node:path"
import { FileName, PlainText } from "../src/index.ts"
import { assertLinear, EVIL } from "./utils/evil.ts"
import { int, literals, text, wellFormed } from "./utils/generators.ts"

const bytes = (name: string): number => Buffer.byteLength(name, "utf8")

// Written independently of the source: the rules of all disks.
const UNSAFE =
  /[\p{Cc}\p{Bidi_Control}\p{Noncharacter_Code_Point}\p{Cs}\p{Zl}\p{Zp}\u200B\uFEFF/\\:*?"<>|\u2044\u2215\u29F8\uFF0F\uFF3C]/u
const DEVICES = new Set([
  "CON",
  "PRN",
  "AUX",
  "NUL",
  "CONIN$",
  "CONOUT$",
  "CLOCK$",
  ...[..."0123456789¹²³"].flatMap((digit) => [`COM${digit}`, `LPT${digit}`])
])

const assertSafe = (name: string): void => {
  assert.notStrictEqual(name, "")
  assert.notStrictEqual(name, ".")
  assert.notStrictEqual(name, "..")
  assert.isAtMost(bytes(name), 255)
  assert.notMatch(name, UNSAFE)
  assert.notMatch(name, /^\s|[\s.]$/u)
  assert.notMatch(name, /^[.-]/, "hidden, or an option of a command")
  assert.notMatch(name, /^(?:desktop\.ini|autorun\.inf|thumbs\.db)$/i)
  assert.isFalse(DEVICES.has(name.split(".")[0]!.trim().toUpperCase()), `a device: ${name}`)
  assert.strictEqual(name.normalize("NFC"), name)
  assert.strictEqual(name.toWellFormed(), name)
  for (const [path, folder] of [[Path.posix, "/home/ann/in"], [Path.win32, "C:\\Users\\ann\\in"]] as const) {
    const full = path.join(folder, name)
    assert.strictEqual(path.dirname(full), folder)
    assert.strictEqual(path.basename(full), name)
    assert.strictEqual(path.resolve(folder, name), full)
  }
}

describe("FileName.sanitize", () => {
  it.prop("any text becomes a name that is safe on every platform", [text], ([raw]) => {
    assertSafe(FileName.sanitize(raw))
  }, { arbitrary: { runs: 2500 } })

  it.prop("a safe name stays as it is", [text], ([raw]) => {
    const once = FileName.sanitize(raw)
    assert.strictEqual(FileName.sanitize(once), once)
    assert.isTrue(Schema.is(FileName.FileName)(once))
  }, { arbitrary: { runs: 1500 } })

  it.prop("the schema takes exactly the names that need no change", [text], ([raw]) => {
    assert.strictEqual(Schema.is(FileName.FileName)(raw), FileName.sanitize(raw) === raw)
  }, { arbitrary: { runs: 500 } })

  it.each([
    ["report.pdf", "report.pdf"],
    ["Ein Bericht für Zoë (2).pdf", "Ein Bericht für Zoë (2).pdf"],
    ["報告書.pdf", "報告書.pdf"],
    ["party 🎉.png", "party 🎉.png"],
    ["archive.tar.gz", "archive.tar.gz"],
    ["no extension", "no extension"],
    ["it's 100% & [ok] #1; a=b, ~$.txt", "it's 100% & [ok] #1; a=b, ~$.txt"]
  ])("leaves %j alone", (raw, expected) => {
    assert.strictEqual(FileName.sanitize(raw), expected)
  })

  it.each([
    ["", "download"],
    [".", "download"],
    ["..", "download"],
    ["...", "download"],
    [" . ", "download"],
    ["/", "download"],
    ["../..", "download"],
    ["\u202E\u0000", "download"],
    ["../../etc/passwd", "passwd"],
    ["/etc/passwd", "passwd"],
    ["..\\..\\boot.ini", "boot.ini"],
    ["C:\\Users\\x\\a.txt", "a.txt"],
    ["\\\\server\\share\\a.txt", "a.txt"],
    // Elsewhere it is no separator, and a name that is cut at it would lose its start.
    ["AC\\DC.txt", "AC_DC.txt"],
    ["a\\b\\..\\c.txt.age", "a_b_.._c.txt.age"],
    ["in/a\\b.txt", "a_b.txt"],
    ["a\\", "a_"],
    ["C:evil.txt", "C_evil.txt"],
    ["a.txt:stream", "a.txt_stream"],
    ["folder/", "folder"],
    ["a/../..", "a"],
    ["..／..／evil", "_.._.._evil"],
    ["what?*<is>|\"this\".txt", "what___is___this_.txt"],
    ["invoice\u202Efdp.exe", "invoicefdp.exe"],
    ["a\r\nb\u0000.txt", "ab.txt"],
    ["name. . .", "name"],
    ["  name  ", "name"],
    ["a\uD800b", "a\uFFFDb"],
    ["cafe\u0301.txt", "café.txt"],
    ["e\u200B\u0301.txt", "é.txt"],
    ["CON", "_CON"],
    ["con.txt", "_con.txt"],
    // Any white space after a device's name, since systems differ in what they take for a blank.
    ["com\u00B9\u2002.txt", "_com\u00B9\u2002.txt"],
    ["Nul .tar.gz", "_Nul .tar.gz"],
    ["aux.", "_aux"],
    ["COM1", "_COM1"],
    ["com¹.log", "_com¹.log"],
    ["LPT³", "_LPT³"],
    ["CONIN$", "_CONIN$"],
    ["C\u200BON", "_CON"],
    ["C\u200DON", "_CON"],
    [".bashrc", "_.bashrc"],
    [".npmrc", "_.npmrc"],
    ["..x", "_..x"],
    ["\u200B.profile", "_.profile"],
    ["\uFEFF.bashrc", "_.bashrc"],
    ["in/.ssh", "_.ssh"],
    ["-rf", "_-rf"],
    ["--help", "_--help"],
    [" -x", "_-x"],
    ["desktop.ini", "_desktop.ini"],
    ["AutoRun.INF", "_AutoRun.INF"],
    ["Thumbs.db", "_Thumbs.db"]
  ])("makes %j into %j", (raw, expected) => {
    assertSafe(FileName.sanitize(raw))
    assert.strictEqual(FileName.sanitize(raw), expected)
  })

  it.each(["CONSOLE", "NULL.txt", "COM10", "COM", "auxiliary", "my con.txt", "LPTX"])("%s is no device", (name) => {
    assert.strictEqual(FileName.sanitize(name), name)
  })

  it.each([
    ["Persian", "\u0645\u06CC\u200C\u062E\u0648\u0627\u0647\u0645.pdf"],
    ["Hindi", "\u0915\u094D\u200D\u0937.txt"],
    ["Malayalam, at the end of a word", "\u0D05\u0D35\u0D28\u0D4D\u200D.txt"],
    ["a family", "\u{1F468}\u200D\u{1F469}\u200D\u{1F467}.jpg"],
    ["a profession with a colour of skin", "\u{1F469}\u{1F3FD}\u200D\u{1F4BB}.png"],
    ["a pirate", "\u{1F3F4}\u200D\u2620\uFE0F"],
    ["a flag of tags", "\u{1F3F4}\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}.svg"]
  ])("keeps the joiners inside a word: %s", (_, name) => {
    assert.strictEqual(FileName.sanitize(name), name)
  })

  it.each([
    ["in\u200Dvoice.pdf", "invoice.pdf"],
    ["\u200Creport\u200D.pdf", "report.pdf"],
    ["\u0645\u200C\u200C\u062E.pdf", "\u0645\u200C\u062E.pdf"],
    ["\u{1F468}\u200D.jpg", "\u{1F468}.jpg"],
    ["\u{1F3F4}\u{E0067}x", "\u{1F3F4}x"]
  ])("drops what joins nothing: of %j %j is left", (raw, expected) => {
    assert.strictEqual(FileName.sanitize(raw), expected)
  })

  // The same rules as regular expressions, some of which are quadratic.
  const reference = (raw: string): string => {
    const trim = (text: string) => text.replace(/^\s+/u, "").replace(/[\s.]+$/u, "")
    const guard = (name: string) =>
      /^(?:[.-]|(?:desktop\.ini|autorun\.inf|thumbs\.db)$)/i.test(name) ||
        DEVICES.has(/^[^\s.]*/.exec(name)![0].toUpperCase())
        ? `_${name}`
        : name
    const parts = PlainText.strip(raw.toWellFormed()).normalize("NFC")
      .split(/^(?:[a-z]:|\.|\.\.|)\\/i.test(PlainText.strip(raw.toWellFormed())) ? /[/\\]/ : "/")
    const last = parts.filter((part) => !/^[\s.]*$/.test(part)).at(-1) ?? ""
    return guard(trim(last.replace(/[/\\:*?"<>|\u2044\u2215\u29F8\uFF0F\uFF3C]/g, "_"))) || "download"
  }

  it.prop("agrees with quadratic patterns", [text], ([raw]) => {
    const expected = reference(raw)
    if (raw.length < 1000 && bytes(expected) <= 255) assert.strictEqual(FileName.sanitize(raw), expected)
  }, { arbitrary: { runs: 2000 } })

  it.each(EVIL)("reads a mebibyte of %s in linear time", (_, piece) => {
    assertLinear(piece, FileName.sanitize)
  })

  it.prop("a long name keeps its extension, and is cut between characters", [
    literals(["a", "é", "報", "🎉", "👩‍💻", "e\u0301"]),
    int(60, 400),
    literals([".txt", ".tar.gz", ".tar.zst", ".データ", ".jpeg", ".7z"])
  ], ([piece, times, extension]) => {
    const raw = piece.repeat(times) + extension
    const name = FileName.sanitize(raw)
    assertSafe(name)
    assert.isTrue(name.endsWith(extension), name)
    const whole = `${piece.normalize("NFC").repeat(times)}${extension}`
    if (bytes(whole) <= 255) assert.strictEqual(name, whole)
    // A cut emoji loses its joiner too.
    else assert.isAtLeast(bytes(name), 249)
    assert.isTrue(whole.startsWith(name.slice(0, -extension.length)))
  }, { arbitrary: { runs: 300 } })

  it("cuts an ending that is too long to be an extension", () => {
    const name = FileName.sanitize(`a.${"b".repeat(300)}`)
    assert.strictEqual(name, `a.${"b".repeat(253)}`)
  })

  it("takes exactly 255 bytes, not 256", () => {
    assert.strictEqual(FileName.sanitize("a".repeat(255)), "a".repeat(255))
    assert.strictEqual(FileName.sanitize("a".repeat(256)), "a".repeat(255))
    assert.strictEqual(FileName.sanitize(`${"é".repeat(126)}.txt`), `${"é".repeat(125)}.txt`)
  })
})

describe("FileName.splitExtension", () => {
  it.each([
    ["report.pdf", "report", ".pdf"],
    ["a.b.c", "a.b", ".c"],
    ["archive.tar.gz", "archive", ".tar.gz"],
    ["archive.TAR.gz", "archive.TAR", ".gz"],
    [".tar.gz", ".tar", ".gz"],
    [".bashrc", ".bashrc", ""],
    ["Makefile", "Makefile", ""],
    [`a.${"b".repeat(31)}`, "a", `.${"b".repeat(31)}`],
    [`a.${"b".repeat(32)}`, `a.${"b".repeat(32)}`, ""]
  ])("%j is %j and %j", (name, stem, extension) => {
    assert.deepStrictEqual(FileName.splitExtension(name), [stem, extension])
  })

  it.prop("the two halves make the name", [text], ([name]) => {
    assert.strictEqual(FileName.splitExtension(name).join(""), name)
  })
})

describe("FileName.numbered", () => {
  it.each([
    ["report.pdf", 0, "report.pdf"],
    ["report.pdf", 1, "report (1).pdf"],
    ["report.pdf", 12, "report (12).pdf"],
    ["archive.tar.gz", 2, "archive (2).tar.gz"],
    ["Makefile", 3, "Makefile (3)"],
    ["-rf", 1, "_-rf (1)"],
    [`${"a".repeat(251)}.txt`, 1, `${"a".repeat(247)} (1).txt`]
  ])("of %j with %i is %j", (name, n, expected) => {
    assert.strictEqual(FileName.numbered(FileName.sanitize(name), n), expected)
  })

  it.prop("gives safe names that differ from each other", [text, int(1, 100_000), int(1, 100_000)], ([raw, n, m]) => {
    const name = FileName.sanitize(raw)
    const first = FileName.numbered(name, n)
    assertSafe(first)
    assert.isTrue(Schema.is(FileName.FileName)(first))
    assert.notStrictEqual(first, name)
    if (n !== m) assert.notStrictEqual(first, FileName.numbered(name, m))
  }, { arbitrary: { runs: 800 } })

  it.each([".".repeat(250) + "b.c", `${".".repeat(252)}.b`, `a${" ".repeat(240)}b.c`, `${".".repeat(254)}a`])(
    "is safe where cutting leaves nothing but dots or spaces",
    (raw) => {
      assertSafe(FileName.numbered(FileName.sanitize(raw), 7))
    }
  )
})

const named = (header: string): string | undefined => Option.getOrUndefined(FileName.fromContentDisposition(header))
const asLatin1 = (value: string): string => Buffer.from(value, "utf8").toString("latin1")

describe("FileName.fromContentDisposition", () => {
  it.each([
    ["attachment; filename=report.pdf", "report.pdf"],
    ["attachment; filename=my report.pdf", "my report.pdf"],
    ["attachment; filename=my report.pdf ; size=3", "my report.pdf"],
    ["attachment;filename=report.pdf", "report.pdf"],
    ["attachment; filename=\"report.pdf\"", "report.pdf"],
    ["attachment; filename=\"a;b.pdf\"", "a;b.pdf"],
    ["attachment; filename=\"say \\\"hi\\\" \\\\ bye.txt\"", "say \"hi\" \\ bye.txt"],
    ["attachment; filename=a=b.txt", "a=b.txt"],
    ["attachment ; FileName = \"x.txt\"", "x.txt"],
    ["ATTACHMENT; FILENAME*=utf-8''x.txt", "x.txt"],
    ["inline; filename=x.txt", "x.txt"],
    ["form-data; name=\"file\"; filename=\"x.txt\"", "x.txt"],
    ["filename=x.txt", "x.txt"],
    ["filename=\"a;b.txt\"", "a;b.txt"],
    ["; filename=x.txt", "x.txt"],
    ["attachment; filename=a.txt; filename=b.txt", "a.txt"],
    ["attachment; note=\"; filename=evil.txt\"; filename=good.txt", "good.txt"],
    ["attachment; xfilename=evil.txt; filename=good.txt", "good.txt"],
    ["attachment; filename=\"a.txt", "a.txt"],
    ["attachment; filename=\"a;b.txt", "a;b.txt"],
    ["attachment; filename=\"=?UTF-8?B?5pel5pysLnR4dA==?=\"", "日本.txt"],
    ["attachment; filename==?utf-8?q?f=C3=B6o_bar.txt?=", "föo bar.txt"],
    ["attachment; filename=\"=?ISO-8859-1?Q?f=F6o?= =?UTF-8*en?B?w6QudHh0?=\"", "föoä.txt"],
    ["attachment; filename=\"a =?UTF-8?Q?=C3=A4?= b.txt\"", "a ä b.txt"],
    ["attachment; filename=\"=?KLINGON?B?5pel?=.txt\"", "=?KLINGON?B?5pel?=.txt"],
    ["attachment; filename=\"=?UTF-8?B?%%%?=.txt\"", "=?UTF-8?B?%%%?=.txt"],
    ["attachment; filename*0=\"a very \"; filename*1=\"long name.txt\"", "a very long name.txt"],
    ["attachment; filename*0*=UTF-8''a%C3; filename*1*=%A4; filename*2=%41.txt", "aä%41.txt"],
    ["attachment; filename=\"Preis 5 \u0080.txt\"", "Preis 5 €.txt"]
  ])("reads %s", (header, expected) => {
    assert.strictEqual(named(header), expected)
  })

  it.each([
    ["attachment; filename=\"old.txt\"; filename*=UTF-8''n%C3%A9w.txt", "néw.txt"],
    ["attachment; filename*=UTF-8''n%C3%A9w.txt; filename=\"old.txt\"", "néw.txt"],
    ["attachment; filename*=UTF-8'en'n%C3%A9w.txt", "néw.txt"],
    ["attachment; filename*=\"UTF-8''n%C3%A9w.txt\"", "néw.txt"],
    ["attachment; filename*=utf-8''%F0%9F%8E%89%3B%22.txt", "🎉;\".txt"],
    ["attachment; filename*=ISO-8859-1''n%E9w.txt", "néw.txt"],
    ["attachment; filename*=UTF-8''it's.txt", "it's.txt"],
    ["attachment; filename*=utf8''%E2%82%AC.txt; filename=x.txt", "€.txt"],
    ["attachment; filename*=windows-1252''f%F6o%80.txt", "föo€.txt"],
    ["attachment; filename*=GBK''%C4%E3.txt; filename=x.txt", "你.txt"],
    ["attachment; filename*=Shift_JIS''%93%FA%96%7B.txt", "日本.txt"],
    ["attachment; filename*=UTF-8''日本.txt", "日本.txt"],
    ["attachment; filename*=UTF-8''\u00E6\u0097\u00A5.txt", "日.txt"]
  ])("prefers filename* in %s", (header, expected) => {
    assert.strictEqual(named(header), expected)
  })

  it.each([
    "attachment; filename=old.txt; filename*=UTF-8''%C3%28.txt",
    "attachment; filename=old.txt; filename*=UTF-8''100%.txt",
    "attachment; filename=old.txt; filename*=UTF-8''%zz",
    "attachment; filename=old.txt; filename*=KLINGON''x.txt",
    "attachment; filename=old.txt; filename*=x.txt",
    "attachment; filename=old.txt; filename*=UTF-8'x.txt",
    "attachment; filename=old.txt; filename*=",
    "attachment; filename=old.txt; filename*=UTF-8''"
  ])("falls back to filename in %s", (header) => {
    assert.strictEqual(named(header), "old.txt")
  })

  it.each([
    "",
    ";",
    ";;;",
    "attachment",
    "inline",
    "attachment;",
    "attachment; filename",
    "attachment; filename=",
    "attachment; filename=\"\"",
    "attachment; filename= ; x=y",
    "attachment; filename*=UTF-8''",
    "attachment; filename*=UTF-8''%",
    "attachment; name=x.txt",
    "attachment; filename*=UTF-8''%FF"
  ])("finds no name in %j", (header) => {
    assert.isUndefined(named(header))
  })

  it.prop("reads the UTF-8 that an HTTP library read as Latin-1", [wellFormed], ([name]) => {
    const quoted = asLatin1(name).replace(/["\\]/g, "\\$&")
    const meant = name.startsWith("\uFEFF") ? name.slice(1) : name
    assert.strictEqual(named(`attachment; filename="${quoted}"`) ?? "", meant)
  }, { arbitrary: { runs: 300 } })

  it("keeps what really is Latin-1, and what is no Latin-1 at all", () => {
    assert.strictEqual(named("attachment; filename=\"Zo\u00EB.txt\""), "Zoë.txt")
    assert.strictEqual(named("attachment; filename=\"報告 é.txt\""), "報告 é.txt")
  })

  it.prop("never throws, and the name made safe stays safe", [
    text,
    literals(["", "attachment; filename=", "attachment; filename*="])
  ], (
    [input, start]
  ) => {
    assertSafe(FileName.sanitize(named(start + input) ?? ""))
  }, { arbitrary: { runs: 1000 } })

  // A parameter as a regular expression, which is quadratic.
  const PARAMETER = /;\s*([A-Za-z0-9_.-]+\*?)\s*=\s*(?:"((?:[^"\\]|\\[\s\S])*)"|([^;"][^;]*|(?![^;])))/g
  const reference = (header: string): string | undefined => {
    for (const [, name, quoted, plain] of header.matchAll(PARAMETER)) {
      if (name!.toLowerCase() === "filename") {
        return (quoted?.replace(/\\([\s\S])/g, "$1") ?? plain!.trim()) || undefined
      }
    }
    return undefined
  }
  const pieces = Arbitrary.array(
    literals(["; ", ";", "=", "\"a;b\"", " ", "filename", "FileName", "x", "a.txt", "\\\"", "name=y", "filename=z"]),
    { maxLength: 12 }
  )

  it.prop("agrees with a quadratic pattern", [pieces], ([given]) => {
    const header = `attachment; ${given.join("")}`
    // Only an unclosed quote is read differently.
    if ((header.replace(/\\[\s\S]/g, "").match(/"/g)?.length ?? 0) % 2 === 0 && !header.includes("\\")) {
      assert.strictEqual(named(header), reference(header))
    }
  }, { arbitrary: { runs: 2000 } })

  it.each(EVIL)("reads a mebibyte of %s in linear time", (_, piece) => {
    for (
      const start of ["", "attachment; filename=", "attachment; filename=\"", "attachment; filename*=UTF-8''", "x; "]
    ) {
      assertLinear(piece, (evil) => named(start + evil))
      assertLinear(piece, (evil) => FileName.ofFormPart(start + evil))
    }
  })
})

describe("FileName.ofFormPart", () => {
  it.each([
    ["form-data; name=\"file\"; filename=\"a.txt\"", { field: "file", fileName: "a.txt" }],
    ["form-data; filename=a.txt", { field: undefined, fileName: "a.txt" }],
    ["form-data; name=title", { field: "title", fileName: undefined }],
    ["form-data; name=\"file\"; filename=\"\"", { field: "file", fileName: "" }],
    ["form-data; name=\"a%22b\"; filename=\"c%0D%0Ad%25.txt\"", { field: "a\"b", fileName: "c\r\nd%25.txt" }],
    ["form-data; name=file; filename=\"C:\\dir\\a.txt\"", { field: "file", fileName: "C:\\dir\\a.txt" }],
    ["form-data; name=file; filename=\"a\\\"b.txt\"", { field: "file", fileName: "a\"b.txt" }],
    ["form-data; name=file; filename=\"Ã©.txt\"", { field: "file", fileName: "Ã©.txt" }],
    ["form-data; name=file; filename*=UTF-8''%E2%82%AC.txt", { field: "file", fileName: "€.txt" }],
    ["form-data; name=file; filename*0*=UTF-8''%E2%82%AC; filename*1=.txt", { field: "file", fileName: "€.txt" }],
    ["form-data; name=file; filename=\"=?UTF-8?B?ZsO2by50eHQ=?=\"", { field: "file", fileName: "föo.txt" }],
    ["form-data; name=file; filename=x; filename*=UTF-8''%ED%A0%80", { field: "file", fileName: "x" }],
    ["form-data", { field: undefined, fileName: undefined }]
  ])("reads %s", (header, expected) => {
    assert.deepStrictEqual(FileName.ofFormPart(header), expected)
  })
})

describe("FileName.toContentDisposition", () => {
  it.prop("a name that a host keeps comes back as it was, if a disk takes it", [wellFormed], ([raw]) => {
    const name = FileName.clean(raw)
    const read = named(FileName.toContentDisposition(name)) ?? ""
    if (bytes(name) <= 255) assert.strictEqual(read, name)
    else assert.isAtMost(bytes(read), 255)
  }, { arbitrary: { runs: 1000 } })

  it.prop("is short for any name, so that every client takes it", [text], ([raw]) => {
    assert.isAtMost(FileName.toContentDisposition(raw.repeat(50)).length, 1200)
  }, { arbitrary: { runs: 300 } })

  it("keeps the extension of a name that was cut", () => {
    assert.match(FileName.toContentDisposition(`${"ä".repeat(7000)}.tar.gz`), /%C3%A4\.tar\.gz$/)
  })

  it.each(EVIL)("reads a mebibyte of %s in linear time", (_, piece) => {
    assertLinear(piece, FileName.toContentDisposition)
  })

  it.prop("no name can break out of the header", [text], ([name]) => {
    const header = FileName.toContentDisposition(name)
    assert.match(header, /^[\x20-\x7E]*$/)
    assert.match(
      header,
      /^attachment; filename=(?:[A-Za-z0-9!#$&+.^_`|~-]+|"[^"\\%]*"; filename\*=UTF-8''[A-Za-z0-9!#$&+.^_`|~%-]*)$/
    )
  }, { arbitrary: { runs: 1000 } })

  it.each([
    ["report.pdf", "attachment; filename=report.pdf"],
    ["my report.pdf", "attachment; filename=\"my report.pdf\"; filename*=UTF-8''my%20report.pdf"],
    ["Zoë.txt", "attachment; filename=\"Zoe.txt\"; filename*=UTF-8''Zo%C3%AB.txt"],
    [
      "a\r\nSet-Cookie: x=1",
      "attachment; filename=\"aSet-Cookie: x=1\"; filename*=UTF-8''aSet-Cookie%3A%20x%3D1"
    ],
    ["it's (1)*.txt", "attachment; filename=\"it's (1)*.txt\"; filename*=UTF-8''it%27s%20%281%29%2A.txt"],
    ["a\"b\\c;d%.txt", "attachment; filename=\"a_b_c_d_.txt\"; filename*=UTF-8''a%22b%5Cc%3Bd%25.txt"],
    ["🎉", "attachment; filename=\"_\"; filename*=UTF-8''%F0%9F%8E%89"],
    ["invoice\u202Efdp.exe", "attachment; filename=invoicefdp.exe"]
  ])("writes %j", (name, expected) => {
    assert.strictEqual(FileName.toContentDisposition(name), expected)
  })

  it("writes a lone surrogate as the replacement character instead of failing", () => {
    assert.strictEqual(named(FileName.toContentDisposition("a\uD800.txt")), "a\uFFFD.txt")
  })

  it.prop("what the reference client reads, up to the next semicolon, is the name where it is plain", [
    Arbitrary.schema(Schema.String.check(Schema.isPattern(/^[A-Za-z0-9._-]{1,40}$/)))
  ], ([name]) => {
    assert.strictEqual(FileName.toContentDisposition(name).split("filename=")[1]!.split(";")[0], name)
  })
})

describe("FileName.clean", () => {
  it.each([
    ["report.pdf", "report.pdf"],
    [".bashrc", ".bashrc"],
    ["../a\\b:c", "../a\\b:c"],
    ["a\u0000b\nc\u009Bd.txt", "abcd.txt"],
    ["invoice\u202Efdp.exe", "invoicefdp.exe"],
    ["cafe\u0301", "cafe\u0301"],
    ["\u0645\u06CC\u200C\u062E.pdf", "\u0645\u06CC\u200C\u062E.pdf"],
    ["a\uD800", "a\uFFFD"]
  ])("of %j keeps %j", (raw, expected) => {
    assert.strictEqual(FileName.clean(raw), expected)
  })

  it.prop("returns a name that can be stored and shown", [text], ([raw]) => {
    const name = FileName.clean(raw)
    assert.strictEqual(FileName.clean(name), name)
    assert.notMatch(name, /[\p{Cc}\p{Bidi_Control}\p{Cs}]/u)
  }, { arbitrary: { runs: 1000 } })
})

describe("FileName.FileName", () => {
  it("refuses an unsafe name with its own message", () => {
    const result = Schema.decodeUnknownResult(FileName.FileName)("../x")
    assert.isTrue(Result.isFailure(result))
    if (Result.isFailure(result)) assert.include(result.failure.message, "expected a safe file name")
  })
})
