import { FileIo as ClientFileIo, type FileTransfer } from "@effect-fileio/client"
import { Fault, FileIoTest } from "@effect-fileio/client/testing"
import {
  Encryption,
  FileBody,
  FileIo,
  FileIoError,
  InvalidOption,
  RateLimit,
  RetryPolicy
} from "@effect-fileio/promise"
import { NodeFileIo } from "@effect-fileio/promise/node"
import { FileIoServer } from "@effect-fileio/server"
import { afterAll, assert, beforeAll, describe, expectTypeOf, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, ManagedRuntime, Redacted, Scope } from "effect"
import { createReadStream } from "node:fs"
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Readable } from "node:stream"
import { cuttingProxy } from "../../platform-node/test/cuttingProxy.ts"
import {
  fixture,
  freePort,
  hasTinyproxy,
  listening,
  PASSPHRASE,
  proxy,
  secureHost
} from "../../platform-node/test/network.ts"

const apiKey = "TESTKEY.0000001-0000002-0000003-0000004"

const scope = Scope.makeUnsafe()
let baseUrl: string
let folder: string

beforeAll(async () => {
  const server = FileIoServer.layerTemporary({
    accounts: [{ name: "test", apiKey: Redacted.make(apiKey), plan: "premium" }]
  })
  const context = await Effect.runPromise(Layer.buildWithScope(server, scope))
  baseUrl = Context.get(context, FileIoServer.FileIoServer).url
  folder = await mkdtemp(join(tmpdir(), "fileio-promise-"))
})
afterAll(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  await rm(folder, { recursive: true, force: true })
})

const failureOf = async (promise: Promise<unknown>): Promise<FileIoError.FileIoError> => {
  const error = await promise.then(() => assert.fail("it did not fail"), (error: unknown) => error)
  assert.instanceOf(error, FileIoError.FileIoError)
  return error
}

const makers = { "over undici": NodeFileIo.make, "over fetch": FileIo.make }

for (const [name, make] of Object.entries(makers)) {
  describe(`promises ${name}`, () => {
    it("make every call", async () => {
      await using fileIo: FileIo.FileIo = await make({ baseUrl, apiKey })
      const file = await fileIo.upload(FileBody.text("hello", { name: "a.txt" }), { expires: "1d", maxDownloads: 2 })
      assert.strictEqual(file.downloadsLeft, 2)
      assert.instanceOf(file.expires, Date)
      assert.strictEqual((await fileIo.me()).rateLimit, 100)
      assert.strictEqual((await fileIo.list({ search: "a.txt" })).files[0]?.key, file.key)
      assert.strictEqual((await fileIo.update(file.key, { expires: "never" })).expires, null)
      const { bytes } = await fileIo.downloadBytes(file.link)
      assert.strictEqual(new TextDecoder().decode(bytes), "hello")
      assert.strictEqual((await fileIo.replace(file.key, { file: FileBody.bytes(Uint8Array.of(1)) })).size, 1)
      await fileIo.delete(file.key)
      const error = await failureOf(fileIo.downloadBytes(file.key))
      assert.strictEqual(error.reason._tag, "FileNotFound")
      assert.instanceOf(error.reason, FileIoError.FileNotFound)
      assert.instanceOf(error, Error)
    })

    it("stream a body up and a download down, and close at its end", async () => {
      await using fileIo = await make({ baseUrl })
      const chunk = Uint8Array.from({ length: 100_000 }, (_, i) => i)
      const pieces = async function*() {
        for (let n = 0; n < 10; n++) yield chunk
      }
      const seen: Array<string> = []
      const file = await fileIo.upload(FileBody.stream(pieces, { name: "big.bin", size: 1_000_000 }), {
        onProgress: ({ _tag }) => void seen.push(_tag)
      })
      assert.deepStrictEqual([seen[0], seen.at(-1)], ["Started", "Finished"])
      await using download = await fileIo.download(file.link)
      assert.deepStrictEqual([download.name, download.size], ["big.bin", 1_000_000])
      let size = 0
      for await (const bytes of download.stream) size += bytes.length
      assert.strictEqual(size, 1_000_000)
      await download.close()
    })

    it("encrypt what a host must not read, and decrypt by a link, a key or a passphrase", async () => {
      await using fileIo = await make({ baseUrl, apiKey })
      const body = FileBody.text("hello", { name: "plan.txt" })
      const { identity, recipient } = await Encryption.generateIdentity()
      const text = async (link: string, options?: FileIo.DownloadOptions) => {
        const { bytes, name } = await fileIo.downloadBytes(link, options)
        return `${name}: ${new TextDecoder().decode(bytes)}`
      }
      const file = await fileIo.upload(body, { encryption: "link" })
      assert.strictEqual(await text(file.link), "plan.txt: hello")
      const forKey = await fileIo.upload(body, { encryption: { recipients: [recipient] }, maxDownloads: 2 })
      assert.strictEqual(await text(forKey.link, { identities: [identity] }), "plan.txt: hello")
      const { bytes } = await fileIo.downloadBytes(forKey.link, { decrypt: false })
      let kept = ""
      const encrypted = (async function*() {
        yield bytes
      })()
      for await (const chunk of Encryption.decrypt(encrypted, { identities: [identity] })) {
        kept += new TextDecoder().decode(chunk)
      }
      assert.strictEqual(kept, "hello")
      const scoped = await fileIo.uploadScoped(body, { encryption: "link" })
      await using download = await fileIo.download(scoped.link)
      assert.deepStrictEqual([download.name, download.size], ["plan.txt", 5])
      const missing = await failureOf(fileIo.downloadBytes(forKey.link))
      assert.deepStrictEqual([missing.reason._tag, missing.copy], ["InvalidRequest", "kept"])
      for (const wrong of [5, undefined, { identities: 5 }]) {
        const decrypted = Encryption.decrypt(wrong as never, { identities: wrong as never })
        assert.strictEqual((await failureOf(Array.fromAsync(decrypted))).reason._tag, "InvalidRequest")
      }
    })

    it("list all as an async iterable, which can be stopped early", async () => {
      await using fileIo = await make({ baseUrl, apiKey })
      for (const name of ["1", "2", "3"]) await fileIo.upload(FileBody.text(name, { name: `all-${name}.txt` }))
      const names: Array<string | undefined> = []
      for await (const file of fileIo.listAll({ search: "all-", sort: "name", pageSize: 1 })) {
        names.push(file.name)
        if (names.length === 2) break
      }
      assert.deepStrictEqual(names, ["all-1.txt", "all-2.txt"])
      for await (const { key } of fileIo.listAll({ search: "all-" })) await fileIo.delete(key)
    })

    it("hold the resources of a scope until they are closed", async () => {
      await using fileIo = await make({ baseUrl, apiKey })
      const sentAt = new Date()
      const search = "scoped.txt"
      const file = await fileIo.uploadScoped(FileBody.text("for a while", { name: search }))
      assert.strictEqual((await fileIo.list({ search })).files[0]?.key, file.key)
      // Finds another client's upload, as after a lost response.
      await using other = await make({ baseUrl, apiKey })
      assert.strictEqual((await other.reconcile({ name: search, size: 11, sentAt }))?.key, file.key)
      await file.close()
      assert.strictEqual((await fileIo.list({ search })).count, 0)
      assert.strictEqual(await other.reconcile({ name: search, size: 11, sentAt }), undefined)
    })

    it("throw the reason of a signal", async () => {
      await using fileIo = await make({ baseUrl })
      const before = new AbortController()
      before.abort(new Error("too late"))
      const sent = fileIo.upload(FileBody.text("x"), { signal: before.signal })
      assert.strictEqual(await sent.then(() => "", (error: Error) => error.message), "too late")

      const during = new AbortController()
      const stalled = async function*() {
        yield Uint8Array.of(1)
        during.abort(new Error("enough"))
        await new Promise(() => {})
      }
      const sending = fileIo.upload(FileBody.stream(stalled, { name: "x", size: 2 }), { signal: during.signal })
      assert.strictEqual(await sending.then(() => "", (error: Error) => error.message), "enough")

      const file = await fileIo.upload(FileBody.bytes(new Uint8Array(8_000_000)))
      const reading = new AbortController()
      const download = await fileIo.download(file.key, { signal: reading.signal })
      const read = (async () => {
        for await (const _ of download.stream) reading.abort(new Error("seen it"))
      })()
      assert.strictEqual(await read.then(() => "", (error: Error) => error.message), "seen it")
    })

    it("send text and memory as their bytes, however they are given, and nothing that is neither", async () => {
      await using fileIo = await make({ baseUrl, apiKey })
      const path = join(folder, `text-${name.replaceAll(" ", "-")}.txt`)
      const text = "Grüße 123 日本 👋\n"
      await writeFile(path, text)
      const size = Buffer.byteLength(text)
      const words = new TextEncoder().encode("hello")
      const web = () => new Blob([text]).stream()
      const sent: ReadonlyArray<readonly [FileIo.Content | FileBody.OneShotBody, string]> = [
        [words, "hello"],
        [words.buffer, "hello"],
        [new Blob(["hello"]), "hello"],
        [FileBody.bytes("hello"), "hello"],
        [FileBody.bytes(words.buffer), "hello"],
        [FileBody.bytes(new Uint16Array([0x6868, 0x6969])), "hhii"],
        [FileBody.bytes(new DataView(words.buffer, 1)), "ello"],
        [FileBody.once(createReadStream(path, "utf8")), text],
        [FileBody.once(createReadStream(path, { encoding: "utf8", highWaterMark: 3 }), { size }), text],
        [FileBody.stream(() => Readable.from(["see you ", "at ", words]), { name: "x" }), "see you at hello"],
        [FileBody.stream(() => Readable.from([words.buffer]), { name: "x", size: 5 }), "hello"],
        [FileBody.stream(web, { name: "x" }), text],
        // A web stream that is not iterable, as in some browsers.
        [FileBody.once({ getReader: () => web().getReader() } as never, { name: "x" }), text]
      ]
      for (const [body, expected] of sent) {
        const { key } = "_tag" in body && body._tag === "OneShotBody"
          ? await fileIo.uploadOnce(body)
          : await fileIo.upload(body)
        assert.strictEqual(new TextDecoder().decode((await fileIo.downloadBytes(key)).bytes), expected)
      }
      const refused: ReadonlyArray<unknown> = [
        FileBody.bytes([Buffer.from("a")] as never),
        FileBody.bytes(null as never),
        FileBody.text(5 as never),
        FileBody.blob("a" as never),
        FileBody.once("a" as never),
        FileBody.once([words] as never),
        FileBody.stream("a" as never, {}),
        "a",
        [words],
        null,
        undefined
      ]
      for (const body of refused) {
        const error = await failureOf(fileIo.upload(body as never))
        assert.deepInclude(error.reason, { _tag: "InvalidRequest", field: "file" })
        assert.strictEqual(error.stored, "no")
      }
      for (const chunk of [5, null, [words], {}]) {
        const error = await failureOf(fileIo.uploadOnce(FileBody.once(async function*() {
          yield words
          yield chunk as never
        }())))
        assert.deepInclude(error.reason, { _tag: "SourceFailed" })
        assert.strictEqual(error.stored, "no")
      }
      const wrong = await failureOf(fileIo.upload(FileBody.stream(() => [words] as never, {})))
      assert.deepInclude(wrong.reason, { _tag: "SourceFailed" })
    })

    it("take a stream as it is where it is read once", async () => {
      await using fileIo = await make({ baseUrl })
      const words = new TextEncoder().encode("see you at eight")
      const once: ReadonlyArray<FileIo.OnceContent> = [
        new Blob([words]).stream(),
        Readable.from([Buffer.from(words)]),
        async function*() {
          yield "see you "
          yield words.subarray(8)
        }()
      ]
      for (const content of once) {
        const { key } = await fileIo.uploadOnce(content)
        assert.deepStrictEqual((await fileIo.downloadBytes(key)).bytes, words)
      }
      const error = await failureOf(fileIo.upload(new Blob([words]).stream() as never))
      assert.match(error.message, /a stream, which can be read once; send it with uploadOnce/)
    })

    it("refuse wrong arguments with InvalidRequest, and nothing else", async () => {
      await using fileIo = await make({ baseUrl, apiKey })
      const calls = fileIo as unknown as Record<string, (...args: ReadonlyArray<unknown>) => Promise<unknown>>
      const onDisk = "uploadFile" in fileIo
      const wrong: ReadonlyArray<readonly [string, ...ReadonlyArray<unknown>]> = [
        ["upload"],
        ["upload", 5],
        ["upload", FileBody.text("x"), { expires: 5 }],
        ["upload", FileBody.text("x"), { maxDownloads: "many" }],
        ["uploadOnce"],
        ["uploadScoped", {}],
        ["download"],
        ["downloadBytes", 5],
        ["list", { limit: "all" }],
        ["delete", {}],
        ["update"],
        ["update", "abcdefgh"],
        ["replace", "abcdefgh", { file: "x" }],
        ["reconcile"],
        ["reconcile", {}],
        ["me", { signal: 5 }],
        ["upload", FileBody.text("x"), "1d"],
        ["upload", FileBody.text("x"), { onProgress: 5 }],
        ["listAll", "name"],
        ["listAll", { signal: 5 }],
        ["awaitDownloaded", "abcdefgh", { signal: 5 }],
        ...(onDisk
          ? [
            ["uploadFile"],
            ["uploadFile", 5],
            ["uploadFile", new URL("file:///etc/hostname")],
            ["uploadAll"],
            ["uploadAll", "a path"],
            ["downloadFile"],
            ["downloadFile", "abcdefgh"],
            ["downloadFile", "abcdefgh", "inbox"],
            ["downloadFile", "abcdefgh", {}],
            ["downloadFile", "abcdefgh", { path: 5 }],
            ["downloadFile", "abcdefgh", { path: "a", directory: "b" }],
            ["downloadAll", 5, { directory: folder }],
            ["pending"],
            ["pending", "abcdefgh"],
            ["uploadAll", ["a path"], { onProgress: 5 }],
            ["downloadFile", "abcdefgh", { directory: folder }, "number"]
          ] as const
          : [])
      ]
      for (const [call, ...args] of wrong) {
        const result: unknown = calls[call]!(...args)
        const error = await failureOf(
          result instanceof Promise ? result : Array.fromAsync(result as AsyncIterable<unknown>)
        )
        assert.strictEqual(error.reason._tag, "InvalidRequest", `${call}: ${error.message}`)
        if (error.operation === "download") assert.strictEqual(error.copy, "kept")
      }
      if (!onDisk) return
      for (const call of ["uploadAll", "downloadAll"]) {
        const [result] = (await calls[call]!([5], { directory: folder })) as ReadonlyArray<PromiseRejectedResult>
        assert.strictEqual((result!.reason as FileIoError.FileIoError).reason._tag, "InvalidRequest")
      }
    })

    it.each([
      ["baseUrl", { baseUrl: "nonsense" }],
      ["options", null],
      ["options", "http://localhost"],
      ["apiKey", { apiKey: 5 }],
      ["headers", { headers: "a: b" }],
      ["rateLimit", { rateLimit: 5 }],
      ["retry", { retry: 5 }],
      ["tls", { tls: "a certificate" }]
    ])("say at once which option is wrong: %s", async (option, options) => {
      const error = await make(options as never).then(() => undefined, (cause: unknown) => cause)
      assert.instanceOf(error, InvalidOption.InvalidOption)
      assert.strictEqual(error.option, option)
    })
  })
}

describe("promises for Node", () => {
  it("move files between the host and the disk", async () => {
    await using fileIo = await NodeFileIo.make({ baseUrl, connectTimeout: "1 second" })
    const path = join(folder, "report.txt")
    await writeFile(path, "a report")
    const file = await fileIo.uploadFile(path, { title: "Q3" })
    assert.deepStrictEqual([file.name, file.title], ["report.txt", "Q3"])
    const saved = await fileIo.downloadFile(file.link, { path: join(folder, "copy.txt") })
    assert.strictEqual(saved.bytes, 8)
    assert.strictEqual(await readFile(saved.path, "utf8"), "a report")
  })

  it("move many files, and settle each on its own", async () => {
    await using fileIo = await NodeFileIo.make({ baseUrl })
    const path = join(folder, "one.txt")
    await writeFile(path, "one")
    const [one, none] = await fileIo.uploadAll([path, join(folder, "none.txt")], { concurrency: 2 })
    assert.strictEqual(one?.status === "fulfilled" ? one.value.name : undefined, "one.txt")
    assert.strictEqual(none?.status === "rejected" ? none.reason.reason._tag : undefined, "SourceFailed")
  })

  it("continue an upload that another client left, by its note", async () => {
    const path = join(folder, "large.bin")
    const notes = join(folder, "notes")
    const content = new Uint8Array(9 * 1024 * 1024).map((_, i) => i * 31 >> 3)
    await writeFile(path, content)
    let isCut = true
    const gate = await Effect.runPromise(
      Scope.provide(cuttingProxy(baseUrl, () => isCut ? 4 * 1024 * 1024 : undefined), scope)
    )
    const upload = async () => {
      await using fileIo = await NodeFileIo.make({ baseUrl: gate.url, retry: RetryPolicy.none })
      return await fileIo.uploadFile(path, { notes })
    }
    assert.strictEqual((await failureOf(upload())).stored, "no")
    assert.lengthOf(await readdir(notes), 1)
    isCut = false
    const before = gate.bytes()
    const file = await upload()
    assert.isBelow(gate.bytes() - before, content.length)
    assert.deepStrictEqual(await readdir(notes), [])
    await using fileIo = await NodeFileIo.make({ baseUrl })
    assert.isTrue(Buffer.from((await fileIo.downloadBytes(file.key)).bytes).equals(content))
  })

  it("are closed with their connections", async () => {
    const fileIo = await NodeFileIo.make({ baseUrl })
    await fileIo.close()
    await fileIo.close()
    const error = await failureOf(fileIo.upload(FileBody.text("x")))
    assert.strictEqual(error.stored, "no")
    assert.deepInclude(error.reason, {
      _tag: "InvalidRequest",
      field: "client",
      problem: "it is closed; make another one"
    })
    assert.strictEqual((await failureOf(fileIo.downloadBytes("abc123"))).copy, "kept")
    const listed = fileIo.listAll()[Symbol.asyncIterator]().next()
    assert.strictEqual((await failureOf(listed)).operation, "list")
  })
})

describe("promises over any layer", () => {
  it("keep the error's verdicts, and obey the policies that they are given", async () => {
    const runtime = ManagedRuntime.make(FileIoTest.layer())
    const host = await runtime.runPromise(FileIoTest.FileIoTest)
    const service = await runtime.runPromise(ClientFileIo.FileIo)
    await using fileIo = await FileIo.fromLayer(
      Layer.merge(
        Layer.succeed(ClientFileIo.FileIo, service),
        Layer.merge(
          RateLimit.layer(RateLimit.unlimited),
          Layer.succeed(RetryPolicy.CurrentRetryPolicy, RetryPolicy.none)
        )
      )
    )
    await runtime.runPromise(host.inject(Fault.loseResponse, { on: "upload" }))
    const lost = await failureOf(fileIo.upload(FileBody.text("hello")))
    assert.strictEqual(lost.stored, "unknown")
    await runtime.runPromise(host.inject(Fault.Refuse()))
    const refused = await failureOf(fileIo.me())
    assert.strictEqual(refused.reason._tag, "Unreachable")
    await runtime.dispose()
  })

  it("have the types of the service", () => {
    expectTypeOf<keyof ClientFileIo.Service | keyof FileTransfer.Service>().toExtend<keyof NodeFileIo.NodeFileIo>()
    expectTypeOf<Parameters<FileIo.FileIo["me"]>>().toEqualTypeOf<[options?: FileIo.CallOptions | undefined]>()
    expectTypeOf<Awaited<ReturnType<FileIo.FileIo["me"]>>["rateLimit"]>().toEqualTypeOf<number | null | undefined>()
    expectTypeOf<Awaited<ReturnType<FileIo.FileIo["upload"]>>["expires"]>().toEqualTypeOf<Date | null | undefined>()
    expectTypeOf<Parameters<FileIo.FileIo["delete"]>>().toEqualTypeOf<
      [keyOrLink: string, options?: FileIo.TokenOptions | undefined]
    >()
  })
})

describe("ordinary networks", () => {
  it.live.skipIf(!hasTinyproxy)(
    "a proxy with a password, an authority of one's own, a client certificate",
    () =>
      Effect.gen(function*() {
        const { asked, url } = yield* proxy
        const host = yield* secureHost(baseUrl, { wantsCertificate: true })
        yield* Effect.promise(async () => {
          await using fileIo = await NodeFileIo.make({
            baseUrl: host,
            apiKey,
            proxy: url,
            tls: {
              ca: await readFile(fixture("ca.crt")),
              cert: fixture("client.crt"),
              key: await readFile(fixture("client.key"), "utf8"),
              passphrase: Redacted.value(PASSPHRASE)
            }
          })
          const { key } = await fileIo.upload(FileBody.text("hello"))
          assert.strictEqual(new TextDecoder().decode((await fileIo.downloadBytes(key)).bytes), "hello")
        })
        assert.include(asked(), `CONNECT ${new URL(host).host}`)
      }).pipe(Effect.scoped)
  )

  it.live("a dead proxy: nothing was stored, and the password is in no error", () =>
    Effect.gen(function*() {
      const proxy = `http://ada:s3cret@127.0.0.1:${yield* freePort}`
      const error = yield* Effect.promise(async () => {
        await using fileIo = await NodeFileIo.make({ baseUrl, proxy, retry: RetryPolicy.none })
        return await failureOf(fileIo.upload(FileBody.text("hello")))
      })
      assert.strictEqual(error.stored, "no")
      assert.match(error.message, /through the proxy 127\.0\.0\.1:\d+ \(ECONNREFUSED\)/)
      assert.notInclude(`${JSON.stringify(error)} ${error.stack}`, "s3cret")
    }))

  it.live("a unix socket, and headers", () =>
    Effect.gen(function*() {
      const socketPath = process.platform === "win32" ? "\\\\.\\pipe\\fileio-promise" : join(folder, "host.sock")
      let given: string | undefined
      yield* listening(
        createServer((request, response) => {
          given = String(request.headers["x-team"])
          response.end(JSON.stringify({ success: true, status: 200, planId: 1, rateLimit: 5 }))
        }),
        socketPath
      )
      const account = yield* Effect.promise(async () => {
        await using fileIo = await NodeFileIo.make({
          baseUrl: "http://share.localhost",
          apiKey,
          socketPath,
          headers: { "X-Team": "storage" }
        })
        return await fileIo.me()
      })
      assert.strictEqual(account.rateLimit, 5)
      assert.strictEqual(given, "storage")
    }).pipe(Effect.scoped))
})
