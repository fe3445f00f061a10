import { FileBody, FileIo, FileTransfer } from "@effect-fileio/client"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { FileIoServer } from "@effect-fileio/server"
import { assert, describe, layer } from "@effect/vitest"
import { Config, ConfigProvider, DateTime, Duration, Effect, FileSystem, Layer, Path, Redacted, Stream } from "effect"
import { anonymous, apiKey, folder, keyed, otherKey } from "./utils.ts"

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes)

const millisFromNow = (expires: DateTime.Utc | null | undefined) =>
  Effect.map(
    DateTime.now,
    (now) => expires == null ? NaN : DateTime.toEpochMillis(expires) - DateTime.toEpochMillis(now)
  )

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

describe("upload", () => {
  layer(keyed, { excludeTestServices: true })("with a key", (it) => {
    it.effect("takes a text, and the host's defaults hold", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const { url } = yield* FileIoServer.FileIoServer
        const file = yield* fileIo.upload(FileBody.text("hello", { name: "hello.txt" }))
        assert.strictEqual(file.link, `${url}/${file.key}`)
        assert.match(file.key, /^[A-Za-z0-9]{12}$/)
        assert.strictEqual(file.name, "hello.txt")
        assert.strictEqual(file.size, 5)
        assert.strictEqual(file.maxDownloads, 1)
        assert.strictEqual(file.downloadsLeft, 1)
        assert.strictEqual(file.autoDelete, true)
        assert.strictEqual(file.title, null)
        assert.approximately(yield* millisFromNow(file.expires), 14 * DAY, MINUTE)
      }))

    it.effect("takes bytes, a stream factory, a stream that is read once, a Blob and a path", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const transfer = yield* FileTransfer.FileTransfer
        const fs = yield* FileSystem.FileSystem
        const path = yield* Path.Path
        const source = path.join(yield* folder, "on disk.bin")
        const content = Uint8Array.from({ length: 700_000 }, (_, i) => i * 7)
        yield* fs.writeFile(source, content)
        const halves = Stream.fromIterable([content.subarray(0, 300_000), content.subarray(300_000)])
        const uploads = {
          bytes: fileIo.upload(FileBody.bytes(content, { name: "a.bin" })),
          sized: fileIo.upload(FileBody.stream(() => halves, { name: "a.bin", size: content.length })),
          unsized: fileIo.upload(FileBody.stream(() => halves, { name: "a.bin" })),
          once: fileIo.uploadOnce(FileBody.once(halves, { name: "a.bin" })),
          blob: fileIo.upload(FileBody.blob(new Blob([content]), { name: "a.bin" })),
          path: transfer.uploadFile(source)
        }
        for (const [form, upload] of Object.entries(uploads)) {
          const file = yield* upload
          const back = yield* fileIo.downloadBytes(file.key)
          assert.strictEqual(file.size, content.length, form)
          assert.deepStrictEqual(back.bytes, content, form)
          assert.strictEqual(back.name, form === "path" ? "on disk.bin" : "a.bin")
        }
      }))

    it.effect("takes every form of an expiry", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const now = yield* DateTime.now
        const inTwoHours = DateTime.add(now, { hours: 2 })
        const expected: ReadonlyArray<readonly [NonNullable<FileIo.UploadOptions["expires"]>, number]> = [
          ["90s", 1.5 * MINUTE],
          ["10m", 10 * MINUTE],
          ["2h", 120 * MINUTE],
          ["3d", 3 * DAY],
          ["1w", 7 * DAY],
          ["1M", DateTime.toEpochMillis(DateTime.add(now, { months: 1 })) - DateTime.toEpochMillis(now)],
          ["1Q", DateTime.toEpochMillis(DateTime.add(now, { months: 3 })) - DateTime.toEpochMillis(now)],
          ["1y", DateTime.toEpochMillis(DateTime.add(now, { years: 1 })) - DateTime.toEpochMillis(now)],
          [DateTime.formatIso(inTwoHours), 120 * MINUTE],
          [DateTime.formatIso(inTwoHours).replace(/[-:]|\.\d+Z/g, ""), 120 * MINUTE],
          [inTwoHours, 120 * MINUTE],
          [DateTime.toDateUtc(inTwoHours), 120 * MINUTE],
          [Duration.hours(5), 300 * MINUTE]
        ]
        for (const [expires, millis] of expected) {
          const file = yield* fileIo.upload(FileBody.text("x"), { expires })
          assert.approximately(yield* millisFromNow(file.expires), millis, MINUTE, String(expires))
        }
        assert.strictEqual((yield* fileIo.upload(FileBody.text("x"), { expires: "never" })).expires, null)
      }))

    it.effect("keeps maxDownloads, autoDelete and title as they are given", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const kept = yield* fileIo.upload(FileBody.text("x"), {
          maxDownloads: 7,
          autoDelete: false,
          title: "Ünï \"x\""
        })
        assert.strictEqual(kept.maxDownloads, 7)
        assert.strictEqual(kept.autoDelete, false)
        assert.strictEqual(kept.title, "Ünï \"x\"")
        const unlimited = yield* fileIo.upload(FileBody.text("x"), { maxDownloads: "unlimited", autoDelete: true })
        assert.strictEqual(unlimited.maxDownloads, null)
        assert.strictEqual(unlimited.downloadsLeft, "unlimited")
        assert.strictEqual(unlimited.autoDelete, true)
      }))

    it.effect("names arrive as they are, whatever is in them", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const names = [
          "plain.txt",
          "with space; and = sign.txt",
          "quote\".txt",
          "percent%22.txt",
          "back\\slash.txt",
          "žluťoučký kůň.txt",
          "📦 emoji.zip"
        ]
        for (const name of names) {
          const file = yield* fileIo.upload(FileBody.text("x", { name }))
          assert.strictEqual(file.name, name)
        }
        const file = yield* fileIo.upload(FileBody.text("x", { name: "line\r\nX-Injected: yes\u202Etxt.exe" }))
        assert.strictEqual(file.name, "lineX-Injected: yestxt.exe")
      }))

    it.effect("bad input fails before any request, and names the field", () =>
      Effect.gen(function*() {
        const bad = yield* FileIo.FileIo
        const x = FileBody.text("x")
        const cases: ReadonlyArray<readonly [Effect.Effect<unknown, unknown>, string, RegExp]> = [
          [bad.upload(x, { expires: "0d" }), "expires", /allowed: .*10m/],
          [bad.upload(x, { expires: "10x" }), "expires", /allowed: .*10m/],
          [bad.upload(x, { expires: "2001-01-01T00:00:00Z" }), "expires", /future/],
          [bad.upload(x, { maxDownloads: 0 }), "maxDownloads", /from 1/],
          [bad.upload(x, { maxDownloads: 1.5 }), "maxDownloads", /from 1/],
          [bad.upload(FileBody.text("")), "file", /at least one byte/],
          [bad.upload(FileBody.text("x", { name: "" })), "name", /needs a name/],
          [bad.downloadBytes("not a key"), "key", /5 to 64/],
          [bad.downloadBytes("../me"), "key", /5 to 64/],
          [bad.delete(""), "key", /empty/],
          [bad.update("abcdefABCDEF", {}), "options", /nothing to change/],
          [bad.update("abcdefABCDEF", { maxDownloads: -1 }), "maxDownloads", /from 1/],
          [bad.list({ offset: -1 }), "offset", /from 0/],
          [bad.list({ limit: 0 }), "limit", /from 1/]
        ]
        for (const [call, field, problem] of cases) {
          const error = yield* Effect.flip(call) as Effect.Effect<{
            readonly _tag: string
            readonly reason: { readonly _tag: string; readonly field: string; readonly problem: string }
          }>
          assert.strictEqual(error._tag, "FileIoError")
          assert.strictEqual(error.reason._tag, "InvalidRequest", field)
          assert.strictEqual(error.reason.field, field)
          assert.match(error.reason.problem, problem)
        }
      }).pipe(
        // A client of a host that is down: any request would be Unreachable.
        Effect.provide(NodeFileIo.layer({ baseUrl: "http://127.0.0.1:9", apiKey }))
      ))

    it.effect("an unreadable path is SourceFailed, and nothing is stored", () =>
      Effect.gen(function*() {
        const transfer = yield* FileTransfer.FileTransfer
        const dir = yield* folder
        const cases = [[`${dir}/missing.txt`, /no such file/], [dir, /is a folder/]] as const
        for (const [path, problem] of cases) {
          const error = yield* Effect.flip(transfer.uploadFile(path))
          assert.strictEqual(error.reason._tag, "SourceFailed")
          assert.strictEqual(error.stored, "no")
          assert.match(error.message, problem)
        }
      }))
  })

  layer(anonymous, { excludeTestServices: true })("without a key", (it) => {
    it.effect("works, and the file belongs to nobody", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const file = yield* fileIo.upload(FileBody.text("hello"), { expires: "1h" })
        assert.strictEqual(text((yield* fileIo.downloadBytes(file.link)).bytes), "hello")
        const mine = yield* fileIo.upload(FileBody.text("x"))
        const needKey = [fileIo.me, fileIo.list(), fileIo.update(mine.key, { expires: "1h" }), fileIo.delete(mine.key)]
        for (const call of needKey) {
          const error = yield* Effect.flip(Effect.asVoid(call))
          assert.strictEqual(error.reason._tag, "Unauthorized")
          assert.match(error.reason.message, /FILEIO_API_KEY/)
        }
      }))
  })
})

describe("download", () => {
  layer(keyed, { excludeTestServices: true })("from a real server", (it) => {
    it.effect("takes a key and any form of link", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const { url } = yield* FileIoServer.FileIoServer
        const { key } = yield* fileIo.upload(FileBody.text("hello"), { maxDownloads: "unlimited" })
        const host = new URL(url).host
        const forms = [
          key,
          `${url}/${key}`,
          `${url}/download/${key}`,
          `${host}/${key}/`,
          `https://www.file.io/download/${key}?a=b`,
          ` ${key} `
        ]
        for (const form of forms) assert.strictEqual(text((yield* fileIo.downloadBytes(form)).bytes), "hello", form)
      }))

    it.effect("gives a stream with the name, the size and the type", () =>
      Effect.scoped(Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const { key } = yield* fileIo.upload(FileBody.text("{}", { name: "a b.json", contentType: "application/json" }))
        const download = yield* fileIo.download(key)
        assert.strictEqual(download.name, "a b.json")
        assert.strictEqual(download.size, 2)
        assert.strictEqual(download.contentType, "application/json")
        assert.strictEqual(text(yield* Stream.mkUint8Array(download.stream)), "{}")
      })))

    it.effect("goes into a folder under its original name, or to a path", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const transfer = yield* FileTransfer.FileTransfer
        const fs = yield* FileSystem.FileSystem
        const dir = yield* folder
        const { key } = yield* fileIo.upload(FileBody.text("hello", { name: "hello.txt" }), { maxDownloads: 3 })
        assert.deepStrictEqual(yield* transfer.downloadFile(key, { directory: dir }), {
          path: `${dir}/hello.txt`,
          name: "hello.txt",
          key,
          bytes: 5
        } as FileTransfer.DownloadedFile)
        const second = yield* transfer.downloadFile(key, { directory: dir })
        assert.strictEqual(second.path, `${dir}/hello (1).txt`)
        const third = yield* transfer.downloadFile(key, { path: `${dir}/other.txt` })
        assert.strictEqual(third.path, `${dir}/other.txt`)
        assert.deepStrictEqual((yield* fs.readDirectory(dir)).toSorted(), ["hello (1).txt", "hello.txt", "other.txt"])
        assert.strictEqual(yield* fs.readFileString(`${dir}/hello (1).txt`), "hello")
      }))

    it.effect("a second download of a one-time file is FileNotFound, and the copy was not touched", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const { key } = yield* fileIo.upload(FileBody.text("once"))
        yield* fileIo.downloadBytes(key)
        const error = yield* Effect.flip(fileIo.downloadBytes(key))
        assert.strictEqual(error.reason._tag, "FileNotFound")
        assert.strictEqual(error.copy, "absent")
      }))

    it.effect("a bad destination fails before the copy is used up", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const transfer = yield* FileTransfer.FileTransfer
        const fs = yield* FileSystem.FileSystem
        const dir = yield* folder
        yield* fs.writeFileString(`${dir}/taken.txt`, "mine")
        const { key } = yield* fileIo.upload(FileBody.text("hello"))
        for (const target of [{ directory: `${dir}/taken.txt/below` }, { path: `${dir}/taken.txt` }, { path: dir }]) {
          const error = yield* Effect.flip(transfer.downloadFile(key, target))
          assert.strictEqual(error.reason._tag, "DestinationFailed")
          assert.strictEqual(error.copy, "kept")
        }
        assert.strictEqual(yield* fs.readFileString(`${dir}/taken.txt`), "mine")
        yield* transfer.downloadFile(key, { path: `${dir}/taken.txt` }, { onCollision: "overwrite" })
        assert.strictEqual(yield* fs.readFileString(`${dir}/taken.txt`), "hello")
      }))
  })
})

describe("list, me, update, replace, delete", () => {
  layer(keyed, { excludeTestServices: true })("with a key", (it) => {
    it.effect("list searches, sorts and pages, with everything escaped", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const names = ["aa&b=c.txt", "aa%20?.txt", "aa+plus #.txt", "zz.txt"]
        for (const name of names) yield* fileIo.upload(FileBody.text(name, { name }))
        for (const search of ["&b=c", "%20?", "+plus #"]) {
          const { files } = yield* fileIo.list({ search })
          assert.strictEqual(files.length, 1, search)
          assert.include(files[0]!.name, search)
        }
        const sorted = yield* fileIo.list({ search: "aa", sort: "-name", limit: 2 })
        assert.deepStrictEqual(sorted.files.map(({ name }) => name), ["aa+plus #.txt", "aa&b=c.txt"])
        assert.strictEqual(sorted.count, 3)
        const rest = yield* fileIo.list({ search: "aa", sort: "-name", offset: 2, limit: 2 })
        assert.deepStrictEqual(rest.files.map(({ name }) => name), ["aa%20?.txt"])
      }))

    it.effect("listAll gives every file of all pages once", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        for (let i = 0; i < 7; i++) yield* fileIo.upload(FileBody.text("x", { name: `page-${i}.txt` }))
        for (const pageSize of [1, 3, 7, 100]) {
          const files = yield* Stream.runCollect(fileIo.listAll({ search: "page-", sort: "name", pageSize }))
          assert.deepStrictEqual(files.map(({ name }) => name), [0, 1, 2, 3, 4, 5, 6].map((i) => `page-${i}.txt`))
        }
      }))

    it.effect("listAll returns all files even if each is deleted at once", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const names = Array.from({ length: 25 }, (_, i) => `go-${String(i).padStart(2, "0")}.txt`)
        for (const name of names) yield* fileIo.upload(FileBody.text("x", { name }))
        const files = yield* fileIo.listAll({ search: "go-", sort: "name", pageSize: 10 }).pipe(
          Stream.tap(({ key }) => fileIo.delete(key)),
          Stream.runCollect
        )
        assert.deepStrictEqual(files.map(({ name }) => name), names)
        assert.strictEqual((yield* fileIo.list({ search: "go-" })).count, 0)
      }))

    it.effect("me returns the plan", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const before = yield* fileIo.me
        assert.strictEqual(before.rateLimit, 100)
        assert.strictEqual(before.directDownload, true)
        assert.isAbove(before.maxUploadBytes ?? 0, 1e9)
        yield* fileIo.upload(FileBody.bytes(new Uint8Array(1000)))
        const after = yield* fileIo.me
        assert.strictEqual((after.usedStorageBytes ?? 0) - (before.usedStorageBytes ?? 0), 1000)
      }))

    it.effect("update keeps settings that are not given", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const file = yield* fileIo.upload(FileBody.text("old", { name: "old.txt" }), { maxDownloads: 5, expires: "1h" })
        const settings = yield* fileIo.update(file.key, { expires: "never", autoDelete: false })
        assert.strictEqual(settings.expires, null)
        assert.strictEqual(settings.autoDelete, false)
        assert.strictEqual(settings.maxDownloads, 5)
        assert.strictEqual(settings.name, "old.txt")
        const unlimited = yield* fileIo.update(file.key, { maxDownloads: "unlimited" })
        assert.strictEqual(unlimited.maxDownloads, null)
        assert.strictEqual(unlimited.expires, null)
        const content = yield* fileIo.update(file.key, { file: FileBody.text("new", { name: "new.txt" }) })
        assert.strictEqual(content.name, "new.txt")
        assert.strictEqual(content.maxDownloads, null)
        assert.strictEqual(text((yield* fileIo.downloadBytes(file.key)).bytes), "new")
      }))

    it.effect("replace resets settings that are not given", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const file = yield* fileIo.upload(FileBody.text("old"), { maxDownloads: 5, expires: "1h", autoDelete: false })
        const replaced = yield* fileIo.replace(file.key, { file: FileBody.text("newer", { name: "n.txt" }) })
        assert.strictEqual(replaced.maxDownloads, 1)
        assert.strictEqual(replaced.autoDelete, true)
        assert.strictEqual(replaced.size, 5)
        assert.approximately(yield* millisFromNow(replaced.expires), 14 * DAY, MINUTE)
        assert.strictEqual(text((yield* fileIo.downloadBytes(file.key)).bytes), "newer")
      }))

    it.effect("without a key, the token of an upload deletes the file and says what became of it", () =>
      Effect.gen(function*() {
        const { url } = yield* FileIoServer.FileIoServer
        const context = yield* Layer.build(NodeFileIo.layer({ baseUrl: url }))
        const fileIo = yield* Effect.provideContext(FileIo.FileIo, context)
        const keyed = yield* FileIo.FileIo
        const files = [
          yield* fileIo.upload(FileBody.text("x")),
          // In pieces that can be resumed.
          yield* fileIo.upload(FileBody.bytes(new Uint8Array(5 * 1024 * 1024))),
          yield* fileIo.upload(FileBody.text("x"), { encryption: "link" }),
          yield* keyed.upload(FileBody.text("x"))
        ]
        for (const { deleteToken, key, link } of files) {
          const token = { token: deleteToken }
          const before = yield* fileIo.status(link, token)
          assert.deepInclude({ ...before }, { state: "available", downloads: 0, attempts: 0, lastAttempt: null })
          assert.strictEqual((yield* Effect.flip(fileIo.delete(link))).reason._tag, "Unauthorized")
          yield* fileIo.delete(link, token)
          assert.strictEqual((yield* Effect.flip(fileIo.downloadBytes(key))).reason._tag, "FileNotFound")
          assert.strictEqual((yield* fileIo.status(key, token)).state, "deleted")
          assert.strictEqual((yield* Effect.flip(fileIo.status(key))).reason._tag, "FileNotFound")
        }
      }))

    it.effect("delete gives nothing, and a missing file is FileNotFound for every call", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const { key } = yield* fileIo.upload(FileBody.text("x"))
        assert.strictEqual(yield* fileIo.delete(key), undefined)
        const calls = [
          fileIo.delete(key),
          fileIo.downloadBytes(key),
          fileIo.update(key, { expires: "1h" }),
          fileIo.replace(key, { file: FileBody.text("x") })
        ]
        for (const call of calls) {
          assert.strictEqual((yield* Effect.flip(Effect.asVoid(call))).reason._tag, "FileNotFound")
        }
      }))
  })
})

describe("compose, provide, configure", () => {
  layer(keyed, { excludeTestServices: true })("over a real server", (it) => {
    it.effect("two accounts in one program see their own files", () =>
      Effect.gen(function*() {
        const { url } = yield* FileIoServer.FileIoServer
        const at = (key: Redacted.Redacted) =>
          Effect.map(Layer.build(NodeFileIo.layer({ baseUrl: url, apiKey: key })), (context) => context)
        const mine = yield* Effect.provideContext(FileIo.FileIo, yield* at(apiKey))
        const theirs = yield* Effect.provideContext(FileIo.FileIo, yield* at(otherKey))
        const file = yield* mine.upload(FileBody.text("x", { name: "only-mine.txt" }))
        assert.strictEqual((yield* mine.list({ search: "only-mine" })).count, 1)
        assert.strictEqual((yield* theirs.list({ search: "only-mine" })).count, 0)
        assert.strictEqual((yield* Effect.flip(theirs.delete(file.key))).reason._tag, "FileNotFound")
      }))

    it.effect("layerConfig takes FILEIO_BASE_URL and FILEIO_API_KEY", () =>
      Effect.gen(function*() {
        const { url } = yield* FileIoServer.FileIoServer
        const provider = ConfigProvider.fromUnknown({
          FILEIO_BASE_URL: url,
          FILEIO_API_KEY: Redacted.value(apiKey),
          FILEIO_IDLE_TIMEOUT: "5 seconds"
        })
        const me = yield* FileIo.FileIo.use((fileIo) => fileIo.me).pipe(
          Effect.provide(NodeFileIo.layerConfig()),
          Effect.provideService(ConfigProvider.ConfigProvider, provider)
        )
        assert.strictEqual(me.rateLimit, 100)
        const options = yield* Effect.provideService(
          Config.unwrap(NodeFileIo.config),
          ConfigProvider.ConfigProvider,
          provider
        )
        assert.notInclude(JSON.stringify(options) + String(options.apiKey), Redacted.value(apiKey))
      }))

    it.effect("line breaks around the settings and the key are ignored", () =>
      Effect.gen(function*() {
        const { url } = yield* FileIoServer.FileIoServer
        const key = `${Redacted.value(apiKey)}\r\n`
        const provider = ConfigProvider.fromUnknown({
          FILEIO_BASE_URL: `${url}\n`,
          FILEIO_API_KEY: key,
          FILEIO_IDLE_TIMEOUT: "30",
          FILEIO_CONNECT_TIMEOUT: "PT5S\n",
          FILEIO_CHECK_LIMITS: " no "
        })
        const me = FileIo.FileIo.use((fileIo) => fileIo.me)
        for (
          const layer of [
            Layer.provide(NodeFileIo.layerConfig(), ConfigProvider.layer(provider)),
            NodeFileIo.layer({ baseUrl: ` ${url}\n`, apiKey: Redacted.make(key) })
          ]
        ) assert.strictEqual((yield* Effect.provide(me, layer)).rateLimit, 100)
        const wrong = ConfigProvider.fromUnknown({ FILEIO_IDLE_TIMEOUT: "soon" })
        const error = yield* Effect.flip(
          Effect.provide(me, Layer.provide(NodeFileIo.layerConfig(), ConfigProvider.layer(wrong)))
        )
        assert.match(error.message, /^FILEIO_IDLE_TIMEOUT: "soon" cannot be read; allowed: a time such as 30s/)
      }))

    it.effect("an invalid address is refused with the right form", () =>
      Effect.gen(function*() {
        for (
          const [baseUrl, form] of [["share.example:8080", "https://share.example:8080"], [
            "ftp://x",
            "https://share.example"
          ]]
        ) {
          const error = yield* FileIo.FileIo.pipe(Effect.provide(NodeFileIo.layer({ baseUrl: baseUrl! })), Effect.flip)
          assert.include(error.message, `invalid baseUrl: allowed: an address of http or https, such as ${form}`)
        }
      }))

    it.effect("a wrong key is Unauthorized, and is in no error", () =>
      Effect.gen(function*() {
        const { url } = yield* FileIoServer.FileIoServer
        const wrong = "SECRET1.0000001-0000002-0000003-0000009"
        const error = yield* FileIo.FileIo.use((fileIo) => fileIo.me).pipe(
          Effect.provide(Layer.orDie(NodeFileIo.layer({ baseUrl: url, apiKey: Redacted.make(wrong) }))),
          Effect.flip
        )
        assert.strictEqual(error.reason._tag, "Unauthorized")
        const { inspect } = yield* Effect.promise(() => import("node:util"))
        assert.notInclude(inspect(error, { depth: 20, showHidden: true }) + JSON.stringify(error), wrong)
      }))
  })

  layer(Layer.empty, { excludeTestServices: true })("without a server", (it) => {
    it.effect("a key goes over plain HTTP only to this machine, unless it is allowed", () =>
      Effect.gen(function*() {
        const build = (options: NodeFileIo.Options) => Effect.scoped(Layer.build(NodeFileIo.layer(options)))
        const error = yield* Effect.flip(build({ baseUrl: "http://share.example", apiKey }))
        assert.deepInclude(error, { _tag: "InvalidOption", option: "baseUrl" })
        assert.match(error.message, /unencrypted.*allowInsecureKey/)
        yield* build({ baseUrl: "http://share.example", apiKey, allowInsecureKey: true })
        yield* build({ baseUrl: "http://share.example" })
        for (
          const baseUrl of ["http://localhost:1", "http://127.0.0.1", "http://[::1]:8080", "https://share.example"]
        ) {
          yield* build({ baseUrl, apiKey })
        }
        for (const baseUrl of ["nonsense", "ftp://x", "http://user:pass@localhost", "https://x/?q"]) {
          assert.strictEqual((yield* Effect.flip(build({ baseUrl }))).option, "baseUrl", baseUrl)
        }
        for (const bad of ["", "two words", "line\nbreak", "ключ"]) {
          const refused = yield* Effect.flip(build({ apiKey: Redacted.make(bad) }))
          assert.strictEqual(refused.option, "apiKey")
        }
      }))

    it.effect("a host that is down is Unreachable, after harmless retries", () =>
      Effect.gen(function*() {
        const error = yield* FileIo.FileIo.use((fileIo) => fileIo.downloadBytes("abcdefABCDEF")).pipe(
          Effect.provide(Layer.orDie(NodeFileIo.layer({ baseUrl: "http://127.0.0.1:9" }))),
          Effect.flip
        )
        assert.strictEqual(error.reason._tag, "Unreachable")
        assert.strictEqual(error.copy, "kept")
        assert.match(error.message, /127\.0\.0\.1:9/)
      }))
  })
})
