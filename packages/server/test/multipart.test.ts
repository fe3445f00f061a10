/** Forms as real clients send them. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as MultipartParser from "../src/internal/http/multipartParser.ts"
import { call, start } from "./support.ts"

interface Parsed {
  readonly parts: Array<MultipartParser.Part & { readonly content: string }>
  problem: string | undefined
}

const parsePieces = (pieces: Iterable<Buffer>, type: string): Parsed => {
  const parsed: Parsed = { parts: [], problem: undefined }
  const parser = MultipartParser.make({
    contentType: type,
    maxParts: 10,
    onPart: (part) => {
      const pieces: Array<Buffer> = []
      return (bytes) => {
        if (bytes === null) parsed.parts.push({ ...part, content: Buffer.concat(pieces).toString("latin1") })
        else pieces.push(Buffer.from(bytes))
      }
    },
    onTooMany: () => {
      parsed.problem = "too many"
    },
    onMalformed: (problem) => {
      parsed.problem = problem
    }
  })
  for (const piece of pieces) parser.write(piece)
  parser.end()
  return parsed
}

const parse = (body: Buffer, type: string, chunk: number): Parsed =>
  parsePieces(
    Array.from({ length: Math.ceil(body.length / chunk) }, (_, at) => body.subarray(at * chunk, (at + 1) * chunk)),
    type
  )

const FILE =
  "Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
const B = "multipart/form-data; boundary=B"
const disposition = (rest: string, content = "hello") =>
  `--B\r\nContent-Disposition: ${rest}\r\n\r\n${content}\r\n--B--\r\n`

/**
 * Each begins with a line break and the boundary, and none is a delimiter: its line goes on, or does not end as the first one.
 */
const LOOK_ALIKES =
  "\r\n--B--x\r\n--B-- --\r\n--B--\tx\r\n--B--\n\r\n--B \n\r\n--B\n\r\n--B\r\r\n--B x\r\n--B---\r\n--BB--\r\n"
const LINE_FEED_LOOK_ALIKES = "\r\n--B\r\n--B--\r\n--B--x\n--B \r\n--Bx\n--B--\r"

const FORMS: ReadonlyArray<
  readonly [what: string, body: string | Buffer, name: string, content?: string, type?: string]
> = [
  ["as browsers send it", `--B\r\n${FILE}--B--\r\n`, "a.txt"],
  [
    "a quoted boundary",
    `--71e9da95-c5e7\r\n${FILE}--71e9da95-c5e7--\r\n`,
    "a.txt",
    "hello",
    "multipart/form-data; boundary=\"71e9da95-c5e7\""
  ],
  [
    "a boundary of all characters",
    `--'()+_,-./:=? z\r\n${FILE}--'()+_,-./:=? z--\r\n`,
    "a.txt",
    "hello",
    "multipart/form-data; boundary=\"'()+_,-./:=? z\""
  ],
  ["no line break behind the last boundary", `--B\r\n${FILE}--B--`, "a.txt"],
  ["a preamble and an epilogue", `a preamble with --B in it\r\n--B\r\n${FILE}--B--\r\nan epilogue\r\n--B\r\n`, "a.txt"],
  ["a line break before the first boundary", `\r\n--B\r\n${FILE}--B--\r\n`, "a.txt"],
  ["blanks behind boundaries", `--B \t\r\n${FILE}--B-- \r\n`, "a.txt"],
  [
    "headers in lower case, without a blank",
    "--B\r\ncontent-disposition:form-data;name=\"file\";filename=\"a.txt\"\r\n\r\nhello\r\n--B--\r\n",
    "a.txt"
  ],
  ["a folded header", disposition("form-data;\r\n name=\"file\";\r\n\tfilename=\"a.txt\""), "a.txt"],
  ["line feeds alone", `--B\r\n${FILE}--B--\r\n`.replaceAll("\r\n", "\n"), "a.txt"],
  [
    "bytes that look like the boundary",
    disposition("form-data; name=f; filename=a.txt", "\r\n--\r\n--X\r\n-B\r\n--\n--B\r\n--Bx\r\n--B-\r"),
    "a.txt",
    "\r\n--\r\n--X\r\n-B\r\n--\n--B\r\n--Bx\r\n--B-\r"
  ],
  [
    "lines that only begin like a delimiter",
    disposition("form-data; name=f; filename=a.txt", LOOK_ALIKES),
    "a.txt",
    LOOK_ALIKES
  ],
  [
    "lines that only begin like a delimiter, with line feeds alone",
    `--B\n${FILE}--B--\n`.replaceAll("\r", "").replace("hello", LINE_FEED_LOOK_ALIKES),
    "a.txt",
    LINE_FEED_LOOK_ALIKES
  ],
  ["blanks and no line break behind the last boundary", `--B\r\n${FILE}--B-- \t`, "a.txt"],
  ["a line feed alone behind the last boundary", `--B\r\n${FILE}--B--\n`, "a.txt"],
  ["half a line break behind the last boundary", `--B\r\n${FILE}--B--\r`, "a.txt"],
  [
    "a line break of two bytes behind the last boundary of lines with one",
    `--B\r\n${FILE}`.replaceAll("\r", "") + "--B--\r\n",
    "a.txt"
  ],
  ["an epilogue that looks like a form", `--B\r\n${FILE}--B--\r\n\r\n--B\r\n${FILE}--B--x`, "a.txt"],
  ["no name, as curl -F '=@a.txt' sends it", disposition("form-data; filename=\"a.txt\""), "a.txt"],
  ["attachment in place of form-data", disposition("attachment; name=\"file\"; filename=\"a.txt\""), "a.txt"],
  [
    "a name in encoded words (Java Mail)",
    disposition("form-data; name=\"file\"; filename=\"=?UTF-8?B?ZsO2by50eHQ=?=\""),
    "f\u00F6o.txt"
  ],
  [
    "a name in pieces",
    disposition("form-data; name=\"file\"; filename*0*=UTF-8''f%C3%B6; filename*1=\"o.txt\""),
    "f\u00F6o.txt"
  ],
  ["only filename*", disposition("form-data; name=file; filename*=utf-8''%D1%84.txt"), "\u0444.txt"],
  [
    "a name in Latin-1",
    Buffer.from(disposition("form-data; name=file; filename=\"f\u00F6o.txt\""), "latin1"),
    "f\u00F6o.txt"
  ],
  ["a name in UTF-8", Buffer.from(disposition("form-data; name=file; filename=\"f\u00F6o.txt\"")), "f\u00F6o.txt"],
  [
    "a name with an escape of a terminal",
    disposition("form-data; name=file; filename=\"a\u001B[31m.txt\""),
    "a\u001B[31m.txt"
  ],
  ["an empty name", disposition("form-data; name=\"file\"; filename=\"\""), ""]
]

describe("a form", () => {
  const forms = FORMS.map(([what, body, fileName, content = "hello", type = B]) =>
    [what, typeof body === "string" ? Buffer.from(body) : body, fileName, content, type] as const
  )
  it.each(forms)("is read with %s, however it is cut", (_, bytes, fileName, content, type) => {
    for (const chunk of [1, 2, 3, 7, 1024]) {
      const { parts, problem } = parse(bytes, type, chunk)
      assert.isUndefined(problem)
      assert.deepStrictEqual(parts.map((part) => [part.fileName, part.content]), [[fileName, content]])
    }
    for (let at = 1; at < bytes.length; at++) {
      const { parts, problem } = parsePieces([bytes.subarray(0, at), bytes.subarray(at)], type)
      assert.isUndefined(problem)
      assert.deepStrictEqual(parts.map((part) => [part.fileName, part.content]), [[fileName, content]], `cut at ${at}`)
    }
  })

  it("is read with several parts, empty ones and a charset", () => {
    const body = "--B\r\nContent-Disposition: form-data; name=expires\r\n\r\n\r\n" +
      "--B\r\nContent-Disposition: form-data; name=title\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nx\r\n" +
      "--B\r\nContent-Disposition: form-data; name=nothing\r\n\r\n" +
      `--B\r\n${FILE}--B--\r\n`
    for (const chunk of [1, 5, 1024]) {
      assert.deepStrictEqual(parse(Buffer.from(body), B, chunk), {
        problem: undefined,
        parts: [
          { field: "expires", fileName: undefined, contentType: undefined, content: "" },
          { field: "title", fileName: undefined, contentType: "text/plain; charset=utf-8", content: "x" },
          { field: "nothing", fileName: undefined, contentType: undefined, content: "" },
          { field: "file", fileName: "a.txt", contentType: "text/plain", content: "hello" }
        ]
      })
    }
  })

  it.each([
    ["cut off inside the file", `--B\r\n${FILE.slice(0, -4)}`, "ends early"],
    ["without its last boundary", `--B\r\n${FILE}`, "ends early"],
    ["without a boundary", FILE, "ends early"],
    ["of nothing", "", "ends early"],
    ["with line feeds after line breaks", `--B\r\n${FILE}`.replaceAll("\r\n--", "\n--") + "\n--B--\n", "ends early"],
    ["whose last boundary's line goes on", `--B\r\n${FILE}--B--x\r\n`, "ends early"],
    [
      "with a name that has an empty line of line feeds",
      "--B\r\nContent-Disposition: form-data; name=file; filename=\"a\n\nb\"\r\n\r\nx\r\n--B--\r\n",
      "no header"
    ],
    [
      "with headers that end in line feeds, and lines that do not",
      "--B\r\nContent-Disposition: form-data; filename=a\n\ncontent\r\n\r\nmore\r\n--B--\r\n",
      "no header"
    ],
    ["with a line that is no header", "--B\r\nbad header line\r\n\r\nx\r\n--B--\r\n", "no header"],
    [
      "with two dispositions",
      "--B\r\nContent-Disposition: form-data; name=a\r\ncontent-disposition: form-data; name=b\r\n\r\nx\r\n--B--\r\n",
      "two"
    ],
    ["with a part without headers", "--B\r\n\r\nx\r\n--B--\r\n", "no headers"],
    ["with a part without a disposition", "--B\r\nX: y\r\n\r\nx\r\n--B--\r\n", "no Content-Disposition"],
    ["with a part of no name at all", disposition("form-data"), "neither a name nor a file name"],
    ["in base64", `--B\r\nContent-Transfer-Encoding: base64\r\n${FILE}--B--\r\n`, "base64"],
    ["with endless headers", `--B\r\nX: ${"y".repeat(20_000)}\r\n\r\n`, "16384 bytes of headers"],
    ["with endless headers, not yet at their end", `--B\r\nX: ${"y".repeat(20_000)}`, "16384 bytes of headers"],
    [
      "with too many parts",
      "--B\r\nContent-Disposition: form-data; name=n\r\n\r\n1\r\n".repeat(11) + "--B--\r\n",
      "too many"
    ]
  ])("%s is refused", (_, body, problem) => {
    for (const chunk of [1, 1024, 100_000]) assert.include(parse(Buffer.from(body), B, chunk).problem, problem)
  })

  it.each(["", "; boundary=", "; boundary=a; boundary=b", `; boundary=${"b".repeat(300)}`])(
    "of the type multipart/form-data%s is refused",
    (parameters) => {
      assert.match(
        parse(Buffer.from(`--B\r\n${FILE}--B--\r\n`), `multipart/form-data${parameters}`, 10).problem!,
        /boundary/
      )
    }
  )

  it("of any bytes is read to its end, and passes on each byte of the content once", () => {
    // A small alphabet, so that prefixes of boundaries are frequent.
    const bytes = ["\r", "\n", "-", "B", "x", "\r\n--B", "\r\n--"]
    let seed = 1
    const next = (most: number) => (seed = seed * 48271 % 0x7FFFFFFF) % most
    for (let i = 0; i < 3000; i++) {
      let content = ""
      for (let n = next(12); n > 0; n--) content += bytes[next(bytes.length)]
      // A string that would be another boundary is none here.
      content = content.replace(/\r\n--B(?=(?:--)?(?:\r\n|$))/g, "\r\n--By").replace(/^--B/, "-B")
      const { parts, problem } = parse(Buffer.from(disposition("form-data; filename=a", content)), B, 1 + next(9))
      assert.isUndefined(problem)
      assert.deepStrictEqual(parts.map((part) => part.content), [content], JSON.stringify(content))
    }
  })

  it.effect("without a name, or with one in Latin-1, is stored", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      for (
        const [rest, name] of [["filename=\"a.txt\"", "a.txt"], [
          "name=file; filename=\"f\u00F6o.txt\"",
          "f\u00F6o.txt"
        ]]
      ) {
        const body = Buffer.from(disposition(`form-data; ${rest}`), "latin1")
        const answer = yield* call(url, { method: "POST", body, headers: { "content-type": B } })
        assert.strictEqual(answer.status, 200, answer.text)
        assert.strictEqual(answer.json["name"], name)
        assert.strictEqual((yield* call(`${url}/${answer.json.key}`)).text, "hello")
      }
    }))
})
