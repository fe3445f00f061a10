import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import { join } from "node:path"
import { gate, setUp, until } from "./support.ts"

const t = setUp()
const MIB = 1024 * 1024

const sha256 = (path: string) => createHash("sha256").update(Fs.readFileSync(path)).digest("hex")

/** Kills an upload after some of it has passed; returns the source, and how to run the program the same way. */
const killed = async (content: Uint8Array) => {
  const room = t.room()
  const state = join(room, "state")
  const source = join(room, "big.bin")
  Fs.writeFileSync(source, content)
  const way = await gate(t.url(), { up: 3 * MIB })
  const env = { FILEIO_BASE_URL: way.url, XDG_STATE_HOME: state }
  const first = t.start(["upload", source, "--title", "t"], { env })
  await until(() => way.sent() >= 3 * MIB, "some of the upload")
  first.child.kill("SIGKILL")
  await first.ended
  way.open()
  const before = way.sent()
  const run = (args: ReadonlyArray<string>) => t.run(args, { env })
  return { room, state, source, run, close: way.close, passed: () => way.sent() - before }
}

describe("an upload that was killed", () => {
  it("continues by the same command, and its note has no key and is gone afterwards", async () => {
    const content = new Uint8Array(12 * MIB).map((_, i) => i * 31 >> 3)
    const { close, passed, room, run, source, state } = await killed(content)
    const folder = join(state, "fileio")
    const [note] = Fs.readdirSync(folder)
    assert.strictEqual(Fs.statSync(join(folder, note!)).mode & 0o777, 0o600)
    assert.strictEqual(Fs.statSync(folder).mode & 0o777, 0o700)
    assert.notInclude(Fs.readFileSync(join(folder, note!), "utf8"), "CLITEST")

    const ran = await run(["upload", source, "--title", "t", "--resume"])
    assert.strictEqual(ran.code, 0, ran.stderr)
    assert.isBelow(passed(), content.length)
    assert.deepStrictEqual(Fs.readdirSync(folder), [])
    const inbox = join(room, "inbox")
    Fs.mkdirSync(inbox)
    const [path] = await t.lines(["download", ran.stdout.trim().split("/").at(-1)!, "--output", inbox])
    assert.strictEqual(sha256(path!), sha256(source))
    close()
  })

  it("starts over if the file has changed, and says so; --resume without a note makes no request", async () => {
    const { close, passed, room, run, source } = await killed(new Uint8Array(6 * MIB).fill(1))
    const other = await run(["upload", source, "--resume"])
    assert.strictEqual(other.code, 8, other.stderr)
    assert.include(other.stderr, "there is no broken upload of this file to continue")
    const encrypted = await run(["upload", source, "--resume", "--encrypt"])
    assert.strictEqual(encrypted.code, 8, encrypted.stderr)
    assert.include(encrypted.stderr, "its key was kept nowhere")
    Fs.writeFileSync(source, new Uint8Array(6 * MIB).fill(2))
    Fs.utimesSync(source, new Date(), new Date(Date.now() + 5000))
    const before = passed()
    const only = await run(["upload", source, "--title", "t", "--resume"])
    assert.strictEqual(only.code, 8, only.stderr)
    assert.strictEqual(passed(), before)
    const ran = await run(["upload", source, "--title", "t"])
    assert.strictEqual(ran.code, 0, ran.stderr)
    assert.include(ran.stderr, "has changed since a part of it was sent: the upload starts over")
    const inbox = join(room, "inbox")
    Fs.mkdirSync(inbox)
    const [path] = await t.lines(["download", ran.stdout.trim().split("/").at(-1)!, "--output", inbox])
    assert.strictEqual(sha256(path!), sha256(source))
    close()
  })
})

describe("an upload that another process still sends", () => {
  /** Starts an upload, which waits after its first 3 MiB until `way.open()`. */
  const sending = async () => {
    const room = t.room()
    const source = join(room, "big.bin")
    Fs.writeFileSync(source, new Uint8Array(12 * MIB).fill(3))
    const way = await gate(t.url(), { up: 3 * MIB })
    const env = { FILEIO_BASE_URL: way.url, XDG_STATE_HOME: join(room, "state") }
    const first = t.start(["upload", source], { env })
    await until(() => way.sent() >= 3 * MIB, "some of the first")
    return { env, first, room, source, way }
  }

  it("is left to it: each of the two gets its own link", async () => {
    const { env, first, room, source, way } = await sending()
    const second = t.start(["upload", source], { env })
    await until(() => way.sent() >= 6 * MIB, "some of the second")
    way.open()
    const ends = [await first.ended, await second.ended]
    assert.deepStrictEqual(ends.map(({ code, stderr }) => [code, stderr]), [[0, ""], [0, ""]])
    assert.notStrictEqual(ends[0]!.stdout, ends[1]!.stdout)
    for (const { stdout } of ends) {
      const [path] = await t.lines(["download", stdout.trim(), "-o", join(room, "back")], { env })
      assert.strictEqual(sha256(path!), sha256(source))
      Fs.rmSync(path!)
    }
    assert.deepStrictEqual(Fs.readdirSync(join(room, "state", "fileio")), [])
    way.close()
  })

  it("is not continued by --resume, and no command is said to continue one beside it that was stopped", async () => {
    const { env, first, source, way } = await sending()
    const resumed = await t.run(["upload", "--resume", source], { env })
    assert.strictEqual(resumed.code, 8)
    assert.match(resumed.stderr, /another process is sending this file/)
    const second = t.start(["upload", source], { env })
    await until(() => way.sent() >= 6 * MIB, "some of the second")
    second.child.kill("SIGINT")
    const { stderr } = await second.ended
    assert.match(stderr, /stopped after/)
    assert.notMatch(stderr, /Continue/)
    way.open()
    assert.strictEqual((await first.ended).code, 0)
    way.close()
  })
})

/** The lines of an advice as one, since a terminal's width may break them. */
const oneLine = (text: string) => text.replaceAll(/\s+/g, " ")

describe("a transfer that was stopped", () => {
  it.each([
    ["while it sends", 3 * MIB],
    // The last bytes wait in the buffers of the system, so the client has sent all.
    ["after it has sent all", 8 * MIB]
  ])(
    "%s: names the whole command that continues the upload: same settings, same host, no secret",
    async (_, passing) => {
      const room = t.room()
      const source = join(room, "big one.bin")
      const headers = join(room, "headers.txt")
      Fs.writeFileSync(source, new Uint8Array(8 * MIB).fill(7))
      Fs.writeFileSync(headers, "X-Gate: 1\n")
      const way = await gate(t.url(), { up: passing })
      const env = { XDG_STATE_HOME: join(room, "state") }
      const flags = ["--expires", "2d", "--max-downloads", "3", "--keep", "--title=-a title-"]
      const host = ["--base-url", way.url, "--header", `@${headers}`, "--header", "X-Secret: of this gate"]
      const { child, ended } = t.start(["upload", source, ...flags, ...host], { env })
      const isNoted = () =>
        Fs.existsSync(join(room, "state", "fileio")) && Fs.readdirSync(join(room, "state", "fileio")).length > 0
      await until(() => way.sent() >= passing && isNoted(), "some of the upload")
      child.kill("SIGINT")
      const stopped = await ended
      assert.strictEqual(stopped.code, 130, stopped.stderr)
      const advice = oneLine(stopped.stderr)
      assert.include(
        advice,
        `Continue it by the same command: fileio upload '${source}' --expires 2d --max-downloads 3 --keep ` +
          `--title='-a title-' --base-url ${way.url} --header @${headers} --header 'X-Secret: …'`
      )
      assert.notInclude(advice, "of this gate")
      way.open()
      const before = way.sent()
      const ran = await t.run(["upload", source, ...flags, ...host], { env })
      assert.strictEqual(ran.code, 0, ran.stderr)
      assert.isBelow(way.sent() - before, 8 * MIB)
      way.close()
    }
  )

  it("names the whole command that resumes the download", async () => {
    const room = t.room()
    const passphrase = join(room, "passphrase.txt")
    const source = join(room, "big.bin")
    Fs.writeFileSync(passphrase, "vier Wörter reichen hier\n")
    Fs.writeFileSync(source, new Uint8Array(8 * MIB).fill(7))
    const [link] = await t.lines(["upload", source, "--passphrase-file", passphrase])
    const way = await gate(t.url(), { down: 3 * MIB })
    const own = new URL(link!)
    const inbox = join(room, "inbox")
    Fs.mkdirSync(inbox)
    const flags = ["--output", inbox, "--overwrite", "--passphrase-file", passphrase]
    const { child, ended } = t.start(["download", `${way.url}${own.pathname}${own.hash}`, ...flags])
    await until(() => Fs.readdirSync(inbox).some((name) => name.endsWith(".part")), "the part")
    child.kill("SIGINT")
    const { stderr } = await ended
    way.close()
    assert.include(oneLine(stderr), `fileio download '${way.url}${own.pathname}#…' ${flags.join(" ")}`)
  })
})
