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
    assert.isBelow(passed(), 10 * MIB)
    assert.deepStrictEqual(Fs.readdirSync(folder), [])
    const inbox = join(room, "inbox")
    Fs.mkdirSync(inbox)
    const [path] = await t.lines(["download", ran.stdout.trim().split("/").at(-1)!, "--output", inbox])
    assert.strictEqual(sha256(path!), sha256(source))
    close()
  }, 60_000)

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
  }, 60_000)
})
