import { assert, describe, expectTypeOf, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Redacted, Schema } from "effect"
import { inspect } from "node:util"
import { FileIoError, FileKey } from "../src/index.ts"

const key = FileKey.FileKey.make("2ojE41abcDEF")
const { FileIoError: Failure } = FileIoError
const FailureJson = Schema.toCodecJson(Failure)

/** Every form of every reason, with parts of its message: what failed, and what to do next. */
const cases: ReadonlyArray<readonly [reason: FileIoError.Reason, retryable: boolean, words: ReadonlyArray<string>]> = [
  [new FileIoError.Unauthorized({}), false, ["needs an API key", "set FILEIO_API_KEY"]],
  [
    new FileIoError.Unauthorized({ status: 401, hadKey: false, detail: "only holders upload" }),
    false,
    ["needs an API key: only holders upload", "set FILEIO_API_KEY"]
  ],
  [new FileIoError.Unauthorized({ status: 401 }), false, ["does not accept the API key", "check FILEIO_API_KEY"]],
  [new FileIoError.Unauthorized({ status: 403 }), false, ["refuses", "check that the account's plan"]],
  [new FileIoError.FileNotFound({ key }), false, [
    "no such file",
    "downloaded already",
    "check the key",
    "share it again"
  ]],
  [new FileIoError.FileNotFound({ key, askedHost: "a.example" }), false, [
    "no such file",
    "a.example",
    "FILEIO_BASE_URL"
  ]],
  [new FileIoError.RateLimited({}), true, ["too many requests", "try again later"]],
  [new FileIoError.RateLimited({ retryAfter: Duration.seconds(90) }), true, [
    "too many requests",
    "try again in 1m 30s"
  ]],
  [
    new FileIoError.PlanLimit({ limit: "maxUploadBytes", asked: 3_000_000_000, allowed: 2_147_483_648 }),
    false,
    ["maxUploadBytes", "asked 3,000,000,000 bytes", "allowed 2,147,483,648 bytes", "ask for less"]
  ],
  [new FileIoError.PlanLimit({ limit: "maxDownloads", asked: 2, allowed: 1 }), false, [
    "asked 2,",
    "allowed 1;",
    "ask for less"
  ]],
  [new FileIoError.PlanLimit({ limit: "expires", detail: "at most 1y" }), false, [
    "expires",
    "(at most 1y)",
    "ask for less"
  ]],
  [new FileIoError.InvalidRequest({ field: "maxDownloads", problem: "allowed: 1" }), false, [
    "invalid maxDownloads",
    "allowed: 1"
  ]],
  [new FileIoError.DownloadInProgress({ key }), true, ["somebody else is downloading", "try again later"]],
  [new FileIoError.DownloadInProgress({ key, retryAfter: Duration.seconds(5) }), true, [
    "somebody else is downloading",
    "try again in 5s"
  ]],
  [new FileIoError.ServerFailure({ status: 503 }), true, ["host failed (503)", "try again later"]],
  [new FileIoError.ServerFailure({ status: 500, code: "OOPS" }), true, ["(500 OOPS)", "try again later"]],
  [new FileIoError.Unreachable({ host: "a.example", sent: "no", code: "ECONNREFUSED" }), true, [
    "cannot connect to a.example",
    "ECONNREFUSED",
    "check the base URL"
  ]],
  [new FileIoError.Unreachable({ host: "a.example:80", sent: "no", code: "ERR_SSL_WRONG_VERSION_NUMBER" }), false, [
    "a.example:80 does not speak TLS at this port",
    "http://"
  ]],
  [new FileIoError.Unreachable({ host: "file.io", sent: "no", code: "ENOTFOUND" }), true, [
    "its service ended in 2026",
    "fileio serve",
    "FILEIO_BASE_URL"
  ]],
  [new FileIoError.Unreachable({ host: "a.example", sent: "unknown" }), true, [
    "a.example broke",
    "before trying again"
  ]],
  [new FileIoError.TimedOut({ phase: "connect", after: Duration.seconds(10) }), true, [
    "no connection within 10s",
    "raise the connect timeout"
  ]],
  [new FileIoError.TimedOut({ phase: "firstByte", after: Duration.minutes(1) }), true, [
    "no response within 1m",
    "firstByte timeout"
  ]],
  [new FileIoError.TimedOut({ phase: "idle", after: Duration.seconds(30) }), true, [
    "no more bytes within 30s",
    "idle timeout"
  ]],
  [new FileIoError.NotAnApi({ host: "file.io", status: 200, contentType: "text/html" }), false, [
    "file.io does not speak",
    "200 with text/html",
    "set FILEIO_BASE_URL"
  ]],
  [new FileIoError.NotAnApi({ host: "file.io", status: 410 }), false, ["410 with no content type", "baseUrl"]],
  [new FileIoError.NotAnApi({ host: "file.io", status: 301, location: "https://www.file.io/" }), false, [
    "redirects (301) to https://www.file.io/",
    "baseUrl"
  ]],
  [new FileIoError.DirectDownloadUnavailable({ page: "https://www.file.io/download/x" }), false, [
    "no direct download",
    "open https://www.file.io/download/x in a browser"
  ]],
  [new FileIoError.UnexpectedResponse({ status: 200, problem: "key is missing" }), false, [
    "(200)",
    "key is missing",
    "check"
  ]],
  [new FileIoError.SourceFailed({ path: "/a/b.txt", problem: "it is gone" }), false, [
    "cannot read /a/b.txt",
    "it is gone",
    "check"
  ]],
  [new FileIoError.SourceFailed({ problem: "it ended early" }), false, [
    "cannot read the source",
    "it ended early",
    "check"
  ]],
  [new FileIoError.DestinationFailed({ path: "/in/b.txt", problem: "disk full" }), false, [
    "cannot write /in/b.txt",
    "disk full",
    "free space"
  ]],
  [new FileIoError.DestinationFailed({ path: "/in/b.txt", problem: "disk full", parts: [] }), false, ["free space"]],
  [new FileIoError.DestinationFailed({ path: "/in/b.txt", problem: "disk full", parts: ["/p1"] }), false, [
    "the received bytes are in /p1"
  ]],
  [
    new FileIoError.DestinationFailed({
      path: "/in/b.txt",
      problem: "disk full",
      parts: ["/p1", "/p2"],
      bytesDone: 5,
      bytesExpected: 9
    }),
    false,
    ["are in /p1 and /p2", "join them in this order"]
  ],
  [
    new FileIoError.TransferInterrupted({
      bytesDone: 1234,
      bytesExpected: 5678,
      partPath: "/in/.b.part",
      resumable: true,
      problem: "the connection broke"
    }),
    false,
    ["after 1,234 of 5,678 bytes", "the connection broke", "are in /in/.b.part", "it can be resumed"]
  ],
  [new FileIoError.TransferInterrupted({ bytesDone: 0, resumable: false, problem: "reset" }), false, [
    "after 0 bytes",
    "reset",
    "cannot be resumed"
  ]],
  [new FileIoError.DecryptionFailed({ problem: "otherKey", partPath: "/tmp/.a.part" }), false, [
    "the rest was not fetched",
    "continues with the part /tmp/.a.part"
  ]],
  [new FileIoError.DecryptionFailed({ problem: "otherKey", encryptedPath: "/tmp/a.age" }), false, [
    "cannot be decrypted",
    "/tmp/a.age",
    "age -d -i"
  ]],
  [
    new FileIoError.DecryptionFailed({ problem: "changed", detail: "within chunk 2", encryptedPath: "/tmp/a.age" }),
    false,
    ["were encrypted (within chunk 2); ask the sender to send it again; it is kept as /tmp/a.age, as it arrived"]
  ],
  [
    new FileIoError.DecryptionFailed({ problem: "notEncrypted", encryptedPath: "/tmp/x.bin" }),
    false,
    ["is not encrypted in the age format", "it is kept as /tmp/x.bin, as it arrived"]
  ]
]

const named = cases.map(([reason, retryable, words], index) => ({
  name: `${reason._tag} #${index}`,
  reason,
  retryable,
  words
}))

describe("the message of an error", () => {
  it("has no time to wait where the host says none", () => {
    const retryAfter = Duration.zero
    assert.match(new FileIoError.RateLimited({ retryAfter }).message, /; try again$/)
    assert.match(new FileIoError.DownloadInProgress({ key, retryAfter }).message, /, try again$/)
  })

  const evil = "\u001B]0;title\u0007\u009B31m\u202Egpj\n"
  it.each([
    new FileIoError.PlanLimit({ limit: evil, detail: evil }),
    new FileIoError.InvalidRequest({ field: evil, problem: evil }),
    new FileIoError.ServerFailure({ status: 500, code: evil }),
    new FileIoError.NotAnApi({ host: "a.example", status: 200, contentType: evil }),
    new FileIoError.NotAnApi({ host: "a.example", status: 302, location: evil }),
    new FileIoError.DirectDownloadUnavailable({ page: evil }),
    new FileIoError.UnexpectedResponse({ status: 200, problem: evil, code: evil })
  ])("shows the words of a host, and does not let them act on a terminal: $_tag", (reason) => {
    const { message } = new Failure({ operation: "upload", reason })
    assert.include(message, "31m\uFFFDgpj")
    assert.notMatch(message, /[\p{Cc}\p{Bidi_Control}]/u)
  })
})

describe("the reasons of FileIoError", () => {
  it("are all in these tests", () => {
    const tags = new Set(cases.map(([reason]) => reason._tag))
    assert.deepStrictEqual(
      [...tags].toSorted(),
      FileIoError.Reason.members.map((member) => member.fields._tag.schema.literal).toSorted()
    )
    assert.strictEqual(tags.size, 16)
  })

  it.each(named)("$name says what failed and what to do next", ({ reason, words }) => {
    for (const word of words) assert.include(reason.message, word)
    assert.notMatch(reason.message, /undefined|null|NaN|\[object/)
    assert.notMatch(reason.message, /[;,:] *$|\n/)
  })

  it.each(named)("$name says whether the same call may succeed later", ({ reason, retryable }) => {
    assert.strictEqual(reason.isRetryable, retryable)
    assert.strictEqual(new Failure({ operation: "me", reason }).isRetryable, retryable)
  })

  it.each(named)("$name shows no key of a file, and nothing of its cause", ({ reason }) => {
    const secret = new Error("Authorization: Bearer s3cret-key", { cause: Redacted.make("s3cret-key") })
    const fields = { ...reason, cause: secret }
    const Reason = reason.constructor as new(fields: unknown) => FileIoError.Reason
    const error = new Failure({ operation: "download", reason: new Reason(fields), copy: "kept" })
    assert.strictEqual(error.reason.constructor, Reason)
    assert.strictEqual(error.reason.cause, secret)
    assert.notInclude(error.message, "s3cret")
    assert.notInclude(error.message, key)
    assert.notInclude(error.toString(), "s3cret")
    assert.notInclude(error.toString(), key)
  })

  it("a redacted cause stays redacted when an error is shown", () => {
    const reason = new FileIoError.Unauthorized({ status: 401, cause: { apiKey: Redacted.make("s3cret-key") } })
    const error = new Failure({ operation: "me", reason })
    for (
      const shown of [
        inspect(error, { depth: 10 }),
        JSON.stringify(error),
        Cause.pretty(Cause.fail(error)),
        String(error)
      ]
    ) {
      assert.notInclude(shown, "s3cret")
    }
  })

  it.effect.each(named)("$name comes back as it was written, through JSON", ({ reason }) =>
    Effect.gen(function*() {
      const error = new Failure({ operation: "download", reason, copy: "unknown" })
      const wire = JSON.parse(JSON.stringify(yield* Schema.encodeEffect(FailureJson)(error)))
      const again = yield* Schema.decodeUnknownEffect(FailureJson)(wire)
      assert.instanceOf(again, Failure)
      assert.strictEqual(again.reason.constructor, reason.constructor)
      assert.deepStrictEqual({ ...again.reason }, { ...reason })
      assert.strictEqual(again.message, error.message)
      assert.strictEqual(again.copy, "unknown")
      assert.isFalse("stored" in again)
    }))

  it.effect("a cause comes back with its message", () =>
    Effect.gen(function*() {
      const reason = new FileIoError.ServerFailure({ status: 500, cause: new TypeError("socket hang up") })
      const wire = yield* Schema.encodeEffect(FailureJson)(new Failure({ operation: "me", reason }))
      const again = yield* Schema.decodeUnknownEffect(FailureJson)(JSON.parse(JSON.stringify(wire)))
      assert.instanceOf(again.reason.cause, Error)
      assert.strictEqual((again.reason.cause as Error).message, "socket hang up")
    }))
})

describe("FileIoError", () => {
  const notFound = new FileIoError.FileNotFound({ key })

  it.each(["kept", "consumed", "absent", "unknown"] as const)(
    "the message of a download says that the copy is %s",
    (copy) => {
      const error = new Failure({ operation: "download", reason: notFound, copy })
      assert.strictEqual(error.message, `download: ${notFound.message} [the file on the host: ${copy}]`)
    }
  )

  it.each(["no", "unknown"] as const)("the message of an upload says that it is stored: %s", (stored) => {
    const reason = new FileIoError.ServerFailure({ status: 502 })
    const error = new Failure({ operation: "upload", reason, stored })
    assert.strictEqual(error.message, `upload: ${reason.message} [stored on the host: ${stored}]`)
  })

  it.each(["list", "me", "delete"] as const)("the message of %s has no verdict", (operation) => {
    assert.strictEqual(new Failure({ operation, reason: notFound }).message, `${operation}: ${notFound.message}`)
  })

  it("is an Error that can be thrown, and known again", () => {
    const error = new Failure({ operation: "me", reason: notFound })
    assert.instanceOf(error, Error)
    assert.isTrue(FileIoError.isFileIoError(error))
    assert.include(error.stack ?? "", "FileIoError.test.ts")
    for (const other of [notFound, new Error("x"), { _tag: "FileIoError" }, null, "FileIoError"]) {
      assert.isFalse(FileIoError.isFileIoError(other))
    }
  })

  it.effect("catchReason handles one reason and leaves the others", () =>
    Effect.gen(function*() {
      const fail = (reason: FileIoError.Reason) =>
        Effect.fail(new Failure({ operation: "download", reason, copy: "kept" })).pipe(
          Effect.catchReason("FileIoError", "FileNotFound", (found, error) =>
            Effect.succeed([found.key, error.copy] as const))
        )
      assert.deepStrictEqual(yield* fail(notFound), [key, "kept"])
      const exit = yield* Effect.exit(fail(new FileIoError.RateLimited({})))
      assert.isTrue(Exit.isFailure(exit))
      const error = yield* Effect.flip(fail(new FileIoError.RateLimited({})))
      assert.strictEqual(error.reason._tag, "RateLimited")
    }))

  it.effect("catchReasons handles several", () =>
    Effect.gen(function*() {
      const program = Effect.fail(
        new Failure({ operation: "me", reason: new FileIoError.Unauthorized({ status: 401 }) })
      )
      const handled = program.pipe(Effect.catchReasons("FileIoError", {
        Unauthorized: (reason) => Effect.succeed(reason.status),
        RateLimited: () => Effect.succeed(0)
      }))
      assert.strictEqual(yield* handled, 401)
    }))

  it("refuses an operation, a reason or a verdict that does not exist", () => {
    for (
      const wire of [
        { _tag: "FileIoError", operation: "steal", reason: { _tag: "RateLimited" } },
        { _tag: "FileIoError", operation: "me", reason: { _tag: "Nope" } },
        { _tag: "FileIoError", operation: "me", reason: { _tag: "FileNotFound", key: "../x" } },
        { _tag: "FileIoError", operation: "download", reason: { _tag: "RateLimited" }, copy: "lost" }
      ]
    ) assert.throws(() => Schema.decodeUnknownSync(Failure)(wire))
  })

  it("has types that a caller can rely on", () => {
    expectTypeOf<FileIoError.FileIoError["_tag"]>().toEqualTypeOf<"FileIoError">()
    expectTypeOf<FileIoError.FileIoError["reason"]>().toEqualTypeOf<FileIoError.Reason>()
    expectTypeOf<FileIoError.FileIoError["copy"]>().toEqualTypeOf<FileIoError.Copy | undefined>()
    expectTypeOf<FileIoError.FileIoError["stored"]>().toEqualTypeOf<"no" | "unknown" | undefined>()
    expectTypeOf<FileIoError.Reason["isRetryable"]>().toEqualTypeOf<boolean>()
    expectTypeOf<typeof Failure["DecodingServices"]>().toEqualTypeOf<never>()
    expectTypeOf<typeof Failure["EncodingServices"]>().toEqualTypeOf<never>()
    expectTypeOf<"abcdef">().not.toExtend<FileKey.FileKey>()
  })
})
