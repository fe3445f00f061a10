import { Encryption, FileBody, FileIo, FileTransfer } from "@effect-fileio/client"
import { AgeKey, type FileIoError } from "@effect-fileio/core"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { FileIoServer } from "@effect-fileio/server"
import { assert, describe, layer } from "@effect/vitest"
import { Effect, FileSystem, Layer, Path, Redacted, Stream } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { folder, keyed } from "./utils.ts"

const pattern = (size: number) => Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >>> 8) * 7) & 0xFF)
const isSame = (a: Uint8Array, b: Uint8Array, what: string) => assert.isTrue(Buffer.from(a).equals(b), what)

const problemOf = ({ copy, reason }: FileIoError.FileIoError) =>
  reason._tag === "DecryptionFailed" ? `${reason.problem}, ${copy}` : `${reason._tag}: ${reason.message}`

/** Changes a copy of some bytes. */
const changed = (bytes: Uint8Array, at: number, value = bytes[at]! ^ 0x20) => {
  const copy = bytes.slice()
  copy[at] = value
  return copy
}

/** MiB of the file that goes from disk to disk; 1024 is the size for a longer look. */
const MIB = Number(process.env["FILEIO_ENCRYPTED_MIB"] ?? 8)

const hasAge = spawnSync("age", ["--version"]).status === 0
if (!hasAge) console.warn("SKIPPED: files of the age program in both directions; there is no age (Debian: age)")

describe("an encrypted file", () => {
  layer(keyed, { excludeTestServices: true })("over the real server", (it) => {
    it.effect("of each size is sent with exact sizes, and decrypted by its link, in memory and on the disk", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const transfer = yield* FileTransfer.FileTransfer
        const fs = yield* FileSystem.FileSystem
        const paths = yield* Path.Path
        const directory = yield* folder
        for (const size of [1, 65_535, 65_536, 65_537, 131_072, 700_000]) {
          const content = pattern(size)
          let sent = 0
          const upload = fileIo.upload(FileBody.bytes(content, { name: "geheim (1).pdf" }), {
            encryption: "link",
            onProgress: (progress) =>
              Effect.sync(() => {
                sent = progress.bytes
              })
          })
          const file = yield* upload
          assert.match(file.link, /#age=AGE-SECRET-KEY-1[A-Z0-9]+&name=geheim%20%281%29\.pdf$/)
          assert.match(file.name!, /^[0-9a-f]{16}\.age$/)
          assert.strictEqual(file.mimeType, "application/octet-stream")
          assert.strictEqual(sent, file.size)
          const back = yield* fileIo.downloadBytes(file.link)
          assert.strictEqual(back.name, "geheim (1).pdf")
          assert.strictEqual(back.contentType, "application/pdf")
          isSame(back.bytes, content, String(size))
          const landed = yield* transfer.downloadFile((yield* upload).link, { directory }, { onCollision: "overwrite" })
          assert.strictEqual(landed.path, paths.join(directory, "geheim (1).pdf"))
          assert.strictEqual(landed.bytes, size)
          isSame(yield* fs.readFile(landed.path), content, String(size))
          assert.deepStrictEqual(yield* fs.readDirectory(directory), ["geheim (1).pdf"])
        }
      }))

    it.effect("is of any body: a path, a stream of known or unknown size, a stream that is read once, a Blob", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const transfer = yield* FileTransfer.FileTransfer
        const fs = yield* FileSystem.FileSystem
        const source = (yield* Path.Path).join(yield* folder, "a.bin")
        const content = pattern(700_001)
        yield* fs.writeFile(source, content)
        const halves = Stream.fromIterable([content.subarray(0, 300_000), content.subarray(300_000)])
        const encryption = "link"
        const uploads = {
          sized: fileIo.upload(FileBody.stream(() => halves, { name: "a.bin", size: content.length }), { encryption }),
          unsized: fileIo.upload(FileBody.stream(() => halves, { name: "a.bin" }), { encryption }),
          once: fileIo.uploadOnce(FileBody.once(halves, { name: "a.bin" }), { encryption }),
          blob: fileIo.upload(FileBody.blob(new Blob([content]), { name: "a.bin" }), { encryption }),
          path: transfer.uploadFile(source, { encryption })
        }
        for (const [form, upload] of Object.entries(uploads)) {
          const file = yield* upload
          const back = yield* fileIo.downloadBytes(file.link)
          isSame(back.bytes, content, form)
          assert.strictEqual(back.name, "a.bin")
          assert.isAbove(file.size!, content.length)
        }
        const empty = { name: "a.bin" }
        const refused = [
          fileIo.upload(FileBody.bytes(new Uint8Array(0), empty), { encryption }),
          fileIo.upload(FileBody.stream(() => Stream.empty, empty), { encryption }),
          fileIo.uploadOnce(FileBody.once(halves, { ...empty, size: content.length + 1 }), { encryption }),
          fileIo.uploadOnce(FileBody.once(halves, { ...empty, size: content.length - 1 }), { encryption })
        ]
        for (const upload of refused) assert.strictEqual((yield* Effect.flip(upload)).stored, "no")
      }))

    it.effect("is for recipients or for a passphrase, and a missing one fails before the request", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const one = yield* Encryption.generateIdentity
        const two = yield* Encryption.generateIdentity
        const passphrase = Redacted.make("vier zufällige Wörter reichen")
        const body = FileBody.text("hello", { name: "hello.txt" })
        const file = yield* fileIo.upload(body, { encryption: { recipients: [one.recipient, two.recipient] } })
        assert.match(file.link, /#age=identity&name=hello\.txt$/)
        const unasked = yield* Effect.flip(fileIo.downloadBytes(file.link))
        assert.strictEqual(unasked.copy, "kept")
        assert.match(unasked.message, /invalid identities.*secret key/)
        const back = yield* fileIo.downloadBytes(file.link, { identities: [two.identity] })
        assert.strictEqual(new TextDecoder().decode(back.bytes), "hello")

        const hosted = yield* fileIo.upload(body, { encryption: { passphrase, name: "host" } })
        assert.match(hosted.link, /#age=passphrase$/)
        assert.strictEqual(hosted.name, "hello.txt.age")
        assert.match((yield* Effect.flip(fileIo.downloadBytes(hosted.link))).message, /invalid passphrase/)
        const opened = yield* fileIo.downloadBytes(hosted.link, { passphrase })
        assert.strictEqual(opened.name, "hello.txt")

        const broken = `${file.link.replace(/#.*/, "")}#age=AGE-SECRET-KEY-1QQQQ`
        const cut = yield* Effect.flip(fileIo.downloadBytes(broken))
        assert.strictEqual(cut.copy, "kept")
        assert.match(cut.message, /cut or mistyped/)
        assert.notInclude(cut.message, "QQQQ")
      }))

    it.effect("refuses invalid keys before anything is sent", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const body = FileBody.text("hello")
        const { identity, recipient } = yield* Encryption.generateIdentity
        const wrong: ReadonlyArray<readonly [unknown, RegExp]> = [
          ["Link", /"link"/],
          [{}, /"link"/],
          [{ recipients: [] }, /one or more/],
          [{ recipients: [recipient.slice(0, -1)] }, /number 1: it is cut or mistyped/],
          [{ recipients: [recipient, Redacted.value(identity)] }, /number 2: it is a secret key/],
          // Its checksum is right, but it is a point of low order.
          [{ recipients: [AgeKey.recipientOf(new Uint8Array(32))] }, /a key cannot be used/],
          [{ recipients: [recipient], link: true }, /one of/],
          [{ passphrase: "plain" }, /Redacted/],
          [{ passphrase: Redacted.make("") }, /at least one/],
          [{ link: true, name: "here" }, /link or host/]
        ]
        for (const [encryption, message] of wrong) {
          const error = yield* Effect.flip(fileIo.upload(body, { encryption: encryption as Encryption.Encryption }))
          assert.strictEqual(error.stored, "no")
          assert.match(error.message, message)
          assert.notInclude(error.message, Redacted.value(identity))
        }
        const notEncrypted = (yield* fileIo.upload(body)).link
        const given: ReadonlyArray<readonly [FileIo.DownloadStreamOptions, RegExp]> = [
          [{ identities: [Redacted.make(recipient)] }, /it is a public key/],
          [{ identities: [Redacted.make("AGE-PLUGIN-YUBIKEY-1QQ")] }, /plugin/],
          [{ passphrase: Redacted.make("") }, /at least one/],
          [{ identities: [identity], resume: { offset: 1, validator: "\"a\"" } }, /decrypt: false/]
        ]
        for (const [options, message] of given) {
          const error = yield* Effect.flip(Effect.scoped(fileIo.download(notEncrypted, options)))
          assert.strictEqual(error.copy, "kept")
          assert.match(error.message, message)
        }
      }))

    it.effect("whose content is replaced opens by the new link alone", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const first = yield* fileIo.upload(FileBody.text("one"), { encryption: "link", maxDownloads: 9 })
        const second = yield* fileIo.update(first.link, { file: FileBody.text("two"), encryption: "link" })
        assert.strictEqual(problemOf(yield* Effect.flip(fileIo.downloadBytes(first.link))), "otherKey, unknown")
        const third = yield* fileIo.replace(second.link, { file: FileBody.text("3"), encryption: "link" })
        assert.strictEqual(new TextDecoder().decode((yield* fileIo.downloadBytes(third.link)).bytes), "3")
        const alone = yield* Effect.flip(fileIo.update(third.link, { encryption: "link", expires: "1d" }))
        assert.match(alone.message, /invalid encryption: only new content/)
      }))

    it.effect("whose settings alone are changed has its link with what opens it: secret, name and digest", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const { link } = yield* fileIo.upload(FileBody.text("one", { name: "a b.txt" }), { encryption: "link" })
        const digest = `&sha256=${"a".repeat(64)}`
        for (
          const given of [
            link,
            `${link}${digest}`,
            link.replace(/#age=\w.*&/, "#age=identity&"),
            link.replace(/#.*/, "")
          ]
        ) {
          const updated = yield* fileIo.update(given, { expires: "1d" })
          assert.strictEqual(updated.link, given)
          assert.strictEqual((yield* fileIo.replace(`<${given}>`, { expires: "2d" })).link, given)
        }
        const received = yield* fileIo.downloadBytes((yield* fileIo.update(link, { expires: "3d" })).link)
        assert.strictEqual(received.name, "a b.txt")
      }))

    it.effect("that is for another key, is not encrypted, was cut or changed is kept on the disk, and said to be so", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const transfer = yield* FileTransfer.FileTransfer
        const fs = yield* FileSystem.FileSystem
        const paths = yield* Path.Path
        const { identity, recipient } = yield* Encryption.generateIdentity
        const other = yield* Encryption.generateIdentity
        const content = pattern(200_000)
        const { body } = yield* Encryption.encrypt(FileBody.bytes(content), { recipients: [recipient] })
        const whole = yield* Stream.mkUint8Array(body.open("owned"))
        const header = whole.length - 200_000 - 4 * 16
        const chunk = (n: number) => whole.subarray(header + n * 65_552, header + (n + 1) * 65_552)
        const head = whole.subarray(0, header)
        const wrong: ReadonlyArray<readonly [string, Uint8Array, Redacted.Redacted, string]> = [
          ["another key", whole, other.identity, "otherKey"],
          ["plain", content, identity, "notEncrypted"],
          ["header", changed(whole, 130, whole[130] === 65 ? 66 : 65), identity, "changed"],
          ["first chunk", changed(whole, header), identity, "changed"],
          ["last chunk", changed(whole, whole.length - 1), identity, "changed"],
          ["swapped", Buffer.concat([head, chunk(1), chunk(0), chunk(2), chunk(3)]), identity, "changed"],
          ["at a chunk", whole.subarray(0, header + 65_552), identity, "cut"],
          ["in the header", whole.subarray(0, 100), identity, "cut"],
          ["longer", Buffer.concat([whole, Buffer.from("x")]), identity, "changed"]
        ]
        for (const [what, bytes, key, problem] of wrong) {
          const directory = yield* folder
          const { key: fileKey } = yield* fileIo.upload(FileBody.bytes(bytes, { name: "report.pdf.age" }))
          const error = yield* Effect.flip(transfer.downloadFile(fileKey, { directory }, { identities: [key] }))
          assert.strictEqual(problemOf(error), `${problem}, consumed`, what)
          const kept = error.reason._tag === "DecryptionFailed" ? error.reason.encryptedPath! : ""
          assert.strictEqual(kept, paths.join(directory, "report.pdf.age"), what)
          assert.deepStrictEqual(yield* fs.readDirectory(directory), ["report.pdf.age"], what)
          isSame(yield* fs.readFile(kept), bytes, what)
          if (what === "another key") {
            const opened = Encryption.decrypt(fs.stream(kept), { identities: [identity] })
            isSame(yield* Stream.mkUint8Array(opened), content, what)
          }
        }
      }))

    it.effect("read as a stream that fails says what became of the copy, wherever the fault is", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const { identity, recipient } = yield* Encryption.generateIdentity
        for (const size of [65_536 * 3, 65_536 * 3 + 5]) {
          const { body } = yield* Encryption.encrypt(FileBody.bytes(pattern(size)), { recipients: [recipient] })
          const whole = yield* Stream.mkUint8Array(body.open("owned"))
          const start = whole.length - size - 16 * Math.ceil(size / 65_536)
          const last = start + (Math.ceil(size / 65_536) - 1) * 65_552
          const wrong: ReadonlyArray<readonly [string, Uint8Array, string]> = [
            ["first chunk", changed(whole, start), "changed, unknown"],
            ["before the last chunk", changed(whole, last - 1), "changed, unknown"],
            ["last chunk", changed(whole, last), "changed, consumed"],
            ["last byte", changed(whole, whole.length - 1), "changed, consumed"],
            ["cut in the last chunk", whole.subarray(0, -1), "changed, consumed"],
            ["cut in its tag", whole.subarray(0, last + 15), "cut, consumed"],
            ["cut at a chunk", whole.subarray(0, last), "cut, consumed"]
          ]
          for (const [what, bytes, problem] of wrong) {
            const { key } = yield* fileIo.upload(FileBody.bytes(bytes))
            const error = yield* Effect.flip(fileIo.downloadBytes(key, { identities: [identity] }))
            assert.strictEqual(problemOf(error), problem, `${size}: ${what}`)
          }
        }
      }))

    it.effect("cut in its last chunk, without a length, is unknown to be whole, as a connection that broke", () =>
      Effect.gen(function*() {
        const { identity, recipient } = yield* Encryption.generateIdentity
        const { body } = yield* Encryption.encrypt(FileBody.bytes(pattern(70_000)), { recipients: [recipient] })
        const cut = (yield* Stream.mkUint8Array(body.open("owned"))).subarray(0, -1)
        const host = yield* Effect.acquireRelease(
          Effect.callback<Server>((resume) => {
            const server = createServer((_, response) => {
              response.useChunkedEncodingByDefault = false
              response.writeHead(200, { "content-type": "application/octet-stream", connection: "close" }).end(cut)
            })
            server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
          }),
          (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
        )
        const baseUrl = `http://127.0.0.1:${(host.address() as AddressInfo).port}`
        const directory = yield* folder
        const identities = [identity]
        yield* Effect.gen(function*() {
          const fileIo = yield* FileIo.FileIo
          const transfer = yield* FileTransfer.FileTransfer
          const streamed = yield* Effect.flip(fileIo.downloadBytes("abcdefghijkl", { identities }))
          assert.strictEqual(problemOf(streamed), "changed, unknown")
          const landed = yield* Effect.flip(transfer.downloadFile("abcdefghijkl", { directory }, { identities }))
          assert.strictEqual(problemOf(landed), "changed, unknown")
          assert(landed.reason._tag === "DecryptionFailed")
          isSame(readFileSync(landed.reason.encryptedPath!), cut, "it is kept as it came")
        }).pipe(Effect.provide(Layer.fresh(NodeFileIo.layer({ baseUrl }))))
      }))

    it.effect("of which any byte was changed, or that ends at any byte, gives nothing that was not encrypted", () =>
      Effect.gen(function*() {
        const { identity, recipient } = yield* Encryption.generateIdentity
        const content = pattern(300)
        const { body } = yield* Encryption.encrypt(FileBody.bytes(content), { recipients: [recipient] })
        const whole = yield* Stream.mkUint8Array(body.open("owned"))
        const open = (bytes: Uint8Array) =>
          Effect.result(Stream.mkUint8Array(Encryption.decrypt(Stream.succeed(bytes), { identities: [identity] })))
        for (let at = 0; at < whole.length; at++) {
          for (const bytes of [changed(whole, at), changed(whole, at, whole[at]! ^ 1), whole.subarray(0, at)]) {
            const result = yield* open(bytes)
            if (result._tag === "Success") assert.fail(`byte ${at}: it was opened`)
            assert.strictEqual(result.failure.reason._tag, "DecryptionFailed", String(at))
          }
        }
        // Byte by byte, the result is the same.
        const bytes = Stream.fromIterable(Array.from(whole, (byte) => Uint8Array.of(byte)))
        isSame(yield* Stream.mkUint8Array(Encryption.decrypt(bytes, { identities: [identity] })), content, "bytes")
      }))

    it.effect("is the same each time it is opened, and never another content under the same key", () =>
      Effect.gen(function*() {
        const content = pattern(200_000)
        const other = changed(content, 150_000)
        let given: Uint8Array = content
        const plain = FileBody.stream(() => Stream.succeed(given), { name: "a", size: content.length })
        const { body } = yield* Encryption.encrypt(plain, "link")
        const read = Stream.mkUint8Array(body.open("owned"))
        const first = yield* read
        assert.strictEqual(first.length, body.size)
        isSame(yield* read, first, "again")
        given = other
        const sent: Array<Uint8Array> = []
        const error = yield* Effect.flip(
          Stream.runForEach(body.open("owned"), (chunk) => Effect.sync(() => sent.push(chunk)))
        )
        assert.match(error.message, /it gave other bytes than when it was opened before/)
        isSame(Buffer.concat(sent), first.subarray(0, Buffer.concat(sent).length), "what was sent before")
        // As for a repeated upload, and nothing is sent in plaintext.
        assert.notInclude(Object.keys(body), "content")
        given = content
        isSame(yield* read, first, "it came back")
        const second = yield* Encryption.encrypt(plain, "link")
        const next = yield* Stream.mkUint8Array(second.body.open("owned"))
        assert.isFalse(Buffer.from(next.subarray(-100)).equals(first.subarray(-100)))
      }))

    it.effect("gives at any position what it gave there before, and reads its source from there on", () =>
      Effect.gen(function*() {
        for (const size of [1, 65_536, 131_072, 200_000]) {
          const content = pattern(size)
          const plain = FileBody.bytes(content)
          let from = Infinity
          const seekable: FileBody.FileBody = {
            ...plain,
            openAt: (position, buffers) => {
              from = Math.min(from, position)
              return plain.openAt!(position, buffers)
            }
          }
          const { body } = yield* Encryption.encrypt(seekable, "link")
          const whole = yield* Stream.mkUint8Array(body.open("owned"))
          const start = whole.length - size - 16 * Math.ceil(size / 65_536)
          const chunks = [0, 1, 2, 3].map((n) => start + n * 65_552)
          const positions = [...chunks, whole.length].flatMap((at) => [at - 1, at, at + 1])
          for (const at of positions.filter((at) => at >= 0 && at <= whole.length)) {
            from = Infinity
            isSame(yield* Stream.mkUint8Array(body.openAt!(at, "owned")), whole.subarray(at), `${size}: ${at}`)
            const chunk = Math.min(Math.floor((at - start) / 65_552), Math.ceil(size / 65_536) - 1)
            assert.strictEqual(from, chunk > 0 ? chunk * 65_536 : Infinity, `${size}: ${at}`)
          }
        }
        // A position behind what was encrypted so far is reached from the start.
        const { body } = yield* Encryption.encrypt(FileBody.bytes(pattern(200_000)), "link")
        const rest = yield* Stream.mkUint8Array(body.openAt!(150_000, "owned"))
        isSame(rest, (yield* Stream.mkUint8Array(body.open("owned"))).subarray(150_000), "rest")
      }))

    it.effect("is checked against the digest of what it decrypts to", () =>
      Effect.gen(function*() {
        const fileIo = yield* FileIo.FileIo
        const transfer = yield* FileTransfer.FileTransfer
        const fs = yield* FileSystem.FileSystem
        const directory = yield* folder
        const sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        const upload = fileIo.upload(FileBody.text("hello", { name: "hello.txt" }), { encryption: "link" })
        yield* fileIo.downloadBytes(`${(yield* upload).link}&sha256=${sha256}`)
        yield* transfer.downloadFile((yield* upload).link, { directory }, { sha256 })
        const other = "0".repeat(64)
        const bytes = yield* Effect.flip(fileIo.downloadBytes((yield* upload).link, { sha256: other }))
        assert.match(bytes.message, /SHA-256/)
        const onDisk = yield* Effect.flip(transfer.downloadFile((yield* upload).link, { directory }, { sha256: other }))
        assert.match(onDisk.message, /SHA-256.*\/\.hello\.txt\.\w+\.part/)
        const names = yield* fs.readDirectory(directory)
        assert.deepStrictEqual(names.filter((name) => !name.startsWith(".")), ["hello.txt"])
      }))

    if (hasAge) {
      it.effect("of any size goes both ways with the age program, from disk to disk", () =>
        Effect.gen(function*() {
          const transfer = yield* FileTransfer.FileTransfer
          const directory = yield* folder
          const paths = yield* Path.Path
          const at = (name: string) => paths.join(directory, name)
          const { identity, recipient } = yield* Encryption.generateIdentity
          writeFileSync(at("key.txt"), `${Redacted.value(identity)}\n`)
          const block = pattern(1024 * 1024)
          for (let n = 0; n < MIB; n++) writeFileSync(at("source.bin"), block, { flag: "a" })
          const before = process.resourceUsage().maxRSS
          const file = yield* transfer.uploadFile(at("source.bin"), { encryption: { recipients: [recipient] } })
          const raw = yield* transfer.downloadFile(file.link, { path: at("ours.age") }, { decrypt: false })
          execFileSync("age", ["-d", "-i", at("key.txt"), "-o", at("ours.bin"), raw.path])
          execFileSync("cmp", [at("source.bin"), at("ours.bin")])
          execFileSync("age", ["-r", recipient, "-o", at("its.age"), at("source.bin")])
          const { key } = yield* transfer.uploadFile(at("its.age"))
          yield* transfer.downloadFile(key, { path: at("its.bin") }, { identities: [identity] })
          execFileSync("cmp", [at("source.bin"), at("its.bin")])
          // Memory does not grow with the file; the bound tells that from holding it, of 1 GiB.
          assert.isBelow(process.resourceUsage().maxRSS - before, 512 * 1024, "KiB")
        }))

      it.effect("goes both ways with the age program", () =>
        Effect.gen(function*() {
          const fileIo = yield* FileIo.FileIo
          const transfer = yield* FileTransfer.FileTransfer
          const { url } = yield* FileIoServer.FileIoServer
          const fs = yield* FileSystem.FileSystem
          const paths = yield* Path.Path
          const directory = yield* folder
          const { identity, recipient } = yield* Encryption.generateIdentity
          const keyFile = paths.join(directory, "key.txt")
          yield* fs.writeFileString(keyFile, `# a comment\n${Redacted.value(identity)}\n`)
          for (const size of [1, 65_535, 65_536, 65_537, 300_000]) {
            const content = pattern(size)
            // age opens our file: the link contains everything that is needed.
            const { link } = yield* fileIo.upload(FileBody.bytes(content, { name: "a" }), { encryption: "link" })
            const [address, secret] = link.split(/#age=|&name=/)
            const linkKey = paths.join(directory, "link.txt")
            yield* fs.writeFileString(linkKey, `${secret}\n`)
            const encrypted = yield* fileIo.downloadBytes(address!)
            assert.isTrue(address!.startsWith(url))
            isSame(execFileSync("age", ["-d", "-i", linkKey], { input: encrypted.bytes }), content, String(size))
            const forKey = yield* fileIo.upload(FileBody.bytes(content), { encryption: { recipients: [recipient] } })
            const raw = yield* fileIo.downloadBytes(forKey.link, { decrypt: false })
            isSame(execFileSync("age", ["-d", "-i", keyFile], { input: raw.bytes }), content, String(size))
            // We open age's file.
            for (const form of [[], ["-a"]]) {
              const made = execFileSync("age", [...form, "-r", recipient], { input: content })
              const { key } = yield* fileIo.upload(FileBody.bytes(made, { name: "b.bin.age" }))
              const landed = yield* transfer.downloadFile(key, { directory }, { identities: [identity] })
              assert.match(landed.name, /^b( \(\d+\))?\.bin$/)
              isSame(yield* fs.readFile(landed.path), content, String(size))
            }
          }
        }))
    }
  })
})
