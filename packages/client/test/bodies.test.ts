/** The sent bytes are exactly those of the input, or the input is refused. */
import { FileBody, FileIo, RateLimit } from "@effect-fileio/client"
import { FileIoTest } from "@effect-fileio/client/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Result, Stream } from "effect"
import { runInNewContext } from "node:vm"

const host = FileIoTest.layer().pipe(Layer.provide(RateLimit.layer(RateLimit.unlimited)))

const send = (body: FileBody.FileBody | FileBody.OneShotBody) =>
  FileIo.FileIo.use((fileIo) => body._tag === "OneShotBody" ? fileIo.uploadOnce(body) : fileIo.upload(body))

const stored = Effect.flatMap(
  FileIoTest.FileIoTest,
  (test) => Effect.map(test.files, (files) => files.map(({ bytes }) => Buffer.from(bytes)))
)

const uploads = Effect.flatMap(
  FileIoTest.FileIoTest,
  (test) => Effect.map(test.requests, (requests) => requests.filter(({ operation }) => operation === "upload").length)
)

const utf8 = (text: string) => Buffer.from(text, "utf8")
const hello = new TextEncoder().encode("hello")
const view = Buffer.from("--hello--").subarray(2, 7)
/** Values that JavaScript callers can pass although the types forbid them. */
const untyped = (value: unknown) => value as never

const bodies: Readonly<Record<string, readonly [body: () => FileBody.FileBody | FileBody.OneShotBody, bytes: Buffer]>> =
  {
    "text": [() => FileBody.bytes("hello"), utf8("hello")],
    "text that is not ASCII": [() => FileBody.bytes("Grüße 日本 👋"), utf8("Grüße 日本 👋")],
    "a Buffer that is a part of another": [() => FileBody.bytes(view), utf8("hello")],
    "an ArrayBuffer": [() => FileBody.bytes(hello.slice().buffer), utf8("hello")],
    "a SharedArrayBuffer": [() => {
      const shared = new SharedArrayBuffer(5)
      new Uint8Array(shared).set(hello)
      return FileBody.bytes(shared)
    }, utf8("hello")],
    "a Uint16Array": [() => FileBody.bytes(new Uint16Array([0x6868, 0x6969])), utf8("hhii")],
    "a Float64Array": [
      () => FileBody.bytes(new Float64Array([1.5, -2])),
      Buffer.from(new Float64Array([1.5, -2]).buffer)
    ],
    "a BigInt64Array": [() => FileBody.bytes(new BigInt64Array([1n])), Buffer.from([1, 0, 0, 0, 0, 0, 0, 0])],
    "a view of a part": [() => FileBody.bytes(new DataView(view.buffer, view.byteOffset + 1, 3)), utf8("ell")],
    "bytes of another realm": [
      () => FileBody.bytes(untyped(runInNewContext("new Uint8Array([104, 105])"))),
      utf8("hi")
    ],
    "an ArrayBuffer of another realm": [
      () => FileBody.bytes(untyped(runInNewContext("new Uint8Array([104, 105]).buffer"))),
      utf8("hi")
    ],
    "a stream of texts": [() => FileBody.once(Stream.make("see you ", "at eight")), utf8("see you at eight")],
    "a stream of texts, of known size": [
      () => FileBody.stream(() => Stream.make("Grüße ", "👋"), { size: utf8("Grüße 👋").length }),
      utf8("Grüße 👋")
    ],
    "a stream of texts that share a character": [
      () => FileBody.once(Stream.make("a\uD83D", "\uDC4Bb\uD83D", "\uDC4B")),
      utf8("a👋b👋")
    ],
    "a stream of text and bytes": [
      () =>
        FileBody.once(
          Stream.make<ReadonlyArray<FileBody.Chunk>>("a", hello, new Uint16Array([0x6868]), "", hello.slice().buffer)
        ),
      utf8("ahellohhhello")
    ],
    "a stream that ends in half a character": [() => FileBody.once(Stream.make("a\uD83D")), utf8("a\uFFFD")],
    "a stream with half a character before bytes": [
      () => FileBody.once(Stream.make<ReadonlyArray<FileBody.Chunk>>("a\uD83D", hello)),
      utf8("a\uFFFDhello")
    ],
    "a large stream of texts": [
      () => FileBody.stream(() => Stream.fromIterable(Array.from({ length: 400 }, () => "ü".repeat(1000))), {}),
      utf8("ü".repeat(400_000))
    ],
    "a Blob": [() => FileBody.blob(new Blob(["hello"])), utf8("hello")]
  }

describe("what is sent", () => {
  for (const [what, [body, bytes]] of Object.entries(bodies)) {
    it.effect(`of ${what} is its bytes`, () =>
      Effect.gen(function*() {
        const made = body()
        const file = yield* send(made)
        assert.deepStrictEqual(yield* stored, [bytes])
        assert.strictEqual(file.size, bytes.length)
        if (made.size !== undefined) assert.strictEqual(made.size, bytes.length)
      }).pipe(Effect.provide(host)))
  }
})

const refused: Readonly<Record<string, () => unknown>> = {
  "bytes(null)": () => FileBody.bytes(untyped(null)),
  "bytes(undefined)": () => FileBody.bytes(untyped(undefined)),
  "bytes(a number)": () => FileBody.bytes(untyped(5)),
  "bytes(an array of numbers)": () => FileBody.bytes(untyped([104, 105])),
  "bytes(an array of buffers)": () => FileBody.bytes(untyped([Buffer.from("a"), Buffer.from("b")])),
  "bytes(a Blob)": () => FileBody.bytes(untyped(new Blob(["a"]))),
  "bytes(an object)": () => FileBody.bytes(untyped({ length: 5 })),
  "text(bytes)": () => FileBody.text(untyped(hello)),
  "text(a number)": () => FileBody.text(untyped(123)),
  "text(undefined)": () => FileBody.text(untyped(undefined)),
  "blob(text)": () => FileBody.blob(untyped("a")),
  "blob(null)": () => FileBody.blob(untyped(null)),
  "stream(no function)": () => FileBody.stream(untyped(Stream.make("a")), {}),
  "once(text)": () => FileBody.once(untyped("a")),
  "once(an iterable)": () => FileBody.once(untyped([hello])),
  "once(undefined)": () => FileBody.once(untyped(undefined)),
  "a text": () => "hello",
  "bytes": () => hello,
  "null": () => null,
  "undefined": () => undefined,
  "an object": () => ({}),
  "a body with no stream": () => ({ ...FileBody.text("a"), open: [hello] }),
  "a name that is none": () => FileBody.text("a", { name: untyped(5) }),
  "a type that is none": () => FileBody.text("a", { contentType: untyped(5) }),
  "a type with a line break": () => FileBody.text("a", { contentType: "text/plain\r\nx: y" }),
  "a type with a line break before its parameters": () =>
    FileBody.text("a", { contentType: "text/plain\n; charset=x" }),
  "a type with a line break at its end": () => FileBody.text("a", { contentType: "text/plain; a=b\n" }),
  "a type without end": () => FileBody.text("a", { contentType: `text/plain; a=${"b".repeat(2000)}` })
}

describe("what is no content", () => {
  for (const [what, make] of Object.entries(refused)) {
    it.effect(`is refused before any request: ${what}`, () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const body = make()
        const errors = [
          yield* Effect.flip(fileIo.upload(untyped(body))),
          yield* Effect.flip(fileIo.uploadOnce(untyped(body))),
          yield* Effect.flip(Effect.scoped(fileIo.uploadScoped(untyped(body)))),
          ...(body === undefined ? [] : [yield* Effect.flip(fileIo.update("abcdefgh", { file: untyped(body) }))])
        ]
        for (const error of errors) {
          assert.strictEqual(error.reason._tag, "InvalidRequest", error.message)
          assert.strictEqual(error.stored, "no")
        }
        assert.strictEqual(yield* uploads, 0)
        assert.isTrue(Result.isFailure(FileBody.validate(untyped(body))))
      }).pipe(Effect.provide(host)))
  }

  const streams: Readonly<Record<string, () => FileBody.FileBody | FileBody.OneShotBody>> = {
    "a number": () => FileBody.once(untyped(Stream.make(5))),
    "null": () => FileBody.once(untyped(Stream.make(hello, null))),
    "an array of buffers": () => FileBody.stream(() => untyped(Stream.make([Buffer.from("a")])), {}),
    "an object": () => FileBody.stream(() => untyped(Stream.make({})), { size: 15 }),
    "an object, late": () => FileBody.stream(() => untyped(Stream.make("x".repeat(300_000), {})), { size: 300_015 }),
    "no stream": () => FileBody.stream(() => untyped([hello]), {}),
    "no stream, in a body made by hand": () => ({ ...FileBody.once(Stream.empty), open: () => untyped([hello]) }),
    "text, in a body made by hand": () => ({
      ...FileBody.once(Stream.empty),
      open: () => untyped(Stream.make("hello"))
    })
  }
  for (const [what, make] of Object.entries(streams)) {
    it.effect(`is found while it is read: a stream that gives ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(send(make()))
        assert.strictEqual(error.reason._tag, "SourceFailed", error.message)
        assert.strictEqual(error.stored, "no")
        assert.deepStrictEqual(yield* stored, [])
      }).pipe(Effect.provide(host)))
  }
})
