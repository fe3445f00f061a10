/** Folders as archives: what a name and a file can be, read back by the system's tar. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { execFile, execFileSync, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import * as RawPath from "../src/internal/rawPath.ts"
import { folder } from "../src/internal/tar.ts"
import { setUp } from "./support.ts"

const room = Effect.acquireRelease(
  Effect.sync(() => Fs.mkdtempSync(join(tmpdir(), "fileio-tar-"))),
  (path) => Effect.sync(() => Fs.rmSync(path, { recursive: true, force: true }))
)

const archive = (root: Buffer, onSkipped: (path: string) => void = () => {}) =>
  Effect.map(Stream.runCollect(folder(root, onSkipped)), (chunks) => Buffer.concat(Array.from(chunks)))

const within = (path: string, name: Buffer | string) => Buffer.concat([Buffer.from(`${path}/`), Buffer.from(name)])

/** Names, types, permissions, times and contents of everything below a folder, with names as bytes. */
const describeAll = (path: Buffer): ReadonlyArray<string> =>
  Fs.readdirSync(path, { encoding: "buffer" }).toSorted((a, b) => Buffer.compare(a, b)).flatMap((name) => {
    const at = Buffer.concat([path, Buffer.from("/"), name])
    const info = Fs.lstatSync(at)
    const content = info.isSymbolicLink()
      ? Fs.readlinkSync(at, { encoding: "buffer" }).toString("hex")
      : info.isFile()
      ? `${info.size} ${Math.floor(info.mtimeMs / 1000)} ${Fs.readFileSync(at).subarray(0, 100).toString("hex")}`
      : ""
    const own = `${name.toString("hex")} ${info.mode.toString(8)} ${content}`
    return info.isDirectory() ? [own, ...describeAll(at).map((line) => `  ${line}`)] : [own]
  })

const LATIN1 = Buffer.from("gr\xF6\xDFe.txt", "latin1")

describe.runIf(process.platform === "linux")("a folder as an archive", () => {
  it.effect("is the same again when the system's tar has read it", () =>
    Effect.gen(function*() {
      const from = yield* room
      const to = yield* room
      const root = within(from, Buffer.from("d\xE4ten", "latin1"))
      Fs.mkdirSync(root)
      const at = (name: Buffer | string) => Buffer.concat([root, Buffer.from("/"), Buffer.from(name)])
      for (const size of [0, 1, 511, 512, 513, 1_200_000]) {
        Fs.writeFileSync(at(`size ${size}`), Buffer.alloc(size, size))
      }
      for (const length of [99, 100, 101, 250]) Fs.writeFileSync(at("n".repeat(length)), "long")
      Fs.writeFileSync(at(LATIN1), "Latin-1")
      Fs.writeFileSync(at("größe.txt"), "UTF-8")
      Fs.writeFileSync(at("new\nline"), "")
      Fs.writeFileSync(at(Buffer.from([1, 0xFF, 0xFE])), "any bytes")
      Fs.mkdirSync(at("empty"))
      Fs.mkdirSync(at("deep"))
      const deep = at(Buffer.concat([Buffer.from("deep/"), Buffer.alloc(200, 0xE9)]))
      Fs.mkdirSync(deep)
      Fs.writeFileSync(Buffer.concat([deep, Buffer.from("/in")]), "below a long name that is not UTF-8")
      Fs.symlinkSync("nowhere", at("dangling"))
      Fs.symlinkSync(LATIN1, at("to Latin-1"))
      Fs.symlinkSync("t".repeat(300), at("to a long name"))
      Fs.symlinkSync(Buffer.alloc(300, 0xE9), at("to a long name that is not UTF-8"))
      Fs.writeFileSync(at("run.sh"), "#!/bin/sh\n")
      Fs.chmodSync(at("run.sh"), 0o751)
      for (const [name, time] of [["old", -31_536_000], ["then", 1_700_000_000], ["in between", 1.5]] as const) {
        Fs.writeFileSync(at(name), name)
        Fs.utimesSync(at(name), time, time)
      }
      Fs.writeFileSync(join(to, "a.tar"), yield* archive(root))
      const { status, stderr } = spawnSync("tar", ["xpf", "a.tar"], { cwd: to, encoding: "utf8" })
      assert.deepStrictEqual([status, stderr], [0, ""])
      Fs.rmSync(join(to, "a.tar"))
      assert.deepStrictEqual(describeAll(Buffer.from(to)), describeAll(Buffer.from(from)))
    }).pipe(Effect.scoped))

  it.effect("leaves out what is neither file, folder nor link, and says so; has a growing file as it was", () =>
    Effect.gen(function*() {
      const from = yield* room
      execFileSync("mkfifo", [join(from, "pipe")])
      const path = join(from, "log")
      Fs.writeFileSync(path, "a".repeat(1000))
      const skipped: Array<string> = []
      const content = Stream.tap(
        folder(Buffer.from(from), (path) => skipped.push(path)),
        () => Effect.sync(() => Fs.appendFileSync(path, "b".repeat(1000)))
      )
      const bytes = Buffer.concat(Array.from(yield* Stream.runCollect(content)))
      assert.deepStrictEqual(skipped, [join(from, "pipe")])
      assert.include(String(bytes), "a".repeat(1000))
      assert.strictEqual(bytes.length % 512, 0)
      Fs.chmodSync(path, 0o644)
      Fs.rmSync(join(from, "pipe"))
      Fs.symlinkSync("log", join(from, "last"))
      Fs.renameSync(path, join(from, "moved"))
      const error = yield* Effect.flip(archive(Buffer.from(join(from, "none"))))
      assert.strictEqual(error.path, join(from, "none"))
    }).pipe(Effect.scoped))
})

describe.runIf(process.platform === "linux")("a path that is not UTF-8", () => {
  it("is found by the one name that reads the same", () => {
    const folder = Fs.mkdtempSync(join(tmpdir(), "fileio-raw-"))
    const at = (name: Buffer) => within(folder, name)
    Fs.writeFileSync(at(LATIN1), "x")
    const read = `${folder}/gr\uFFFD\uFFFDe.txt`
    assert.deepStrictEqual(RawPath.find(read), at(LATIN1))
    assert.strictEqual(RawPath.decode(LATIN1), "größe.txt")
    assert.deepStrictEqual(RawPath.find(`${folder}/none\uFFFD`), Buffer.from(`${folder}/none\uFFFD`))
    // Two names that decode to the same text are ambiguous.
    Fs.writeFileSync(at(Buffer.from("gr\xE4\xE4e.txt", "latin1")), "y")
    assert.deepStrictEqual(RawPath.find(read), Buffer.from(read))
    Fs.rmSync(folder, { recursive: true })
  })

  const t = setUp()
  it("is sent", async () => {
    const folder = t.room()
    Fs.writeFileSync(within(folder, LATIN1), "content")
    const script = "node=$1; bin=$2; cd \"$3\"; exec \"$node\" \"$bin\" upload gr*"
    const args = ["-c", script, "-", process.execPath, t.bin, folder]
    const { stdout } = await promisify(execFile)("bash", args, { env: t.environment() })
    const got = await t.run(["download", stdout.trim(), "--json"], { cwd: folder })
    assert.strictEqual((JSON.parse(got.stdout) as { name: string }).name, "größe.txt")
    assert.strictEqual(Fs.readFileSync(join(folder, "größe.txt"), "utf8"), "content")
  })
})
