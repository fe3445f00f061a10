import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import { join } from "node:path"
import { plain, Screen } from "./screen.ts"
import { gate, hasPty, jsonLines, KEY, setUp, SLOW_KEY } from "./support.ts"

if (!hasPty) console.warn("SKIPPED: the tests in a terminal; there is no python3 with pty")

const t = setUp()
const write = (folder: string, name: string, content: string | Uint8Array) => {
  const path = join(folder, name)
  Fs.writeFileSync(path, content)
  return path
}

/** Larger than what the sockets between hold. */
const large = (folder: string, name: string) => {
  const path = write(folder, name, "")
  Fs.truncateSync(path, 60_000_000)
  return path
}

const screenOf = (shown: string, columns = 80) => {
  const screen = new Screen(columns)
  screen.write(shown)
  return screen.shown()
}

/** A way that opens as soon as the file is there, which `terminal.py` touches. */
const signalled = async (signal: string) => {
  const way = await gate(t.url(), { up: 1_000_000 })
  const timer = setInterval(() => {
    if (Fs.existsSync(signal)) way.open()
  }, 20)
  return {
    ...way,
    close: () => {
      clearInterval(timer)
      way.close()
    }
  }
}

describe.skipIf(!hasPty)("in a terminal", () => {
  it("draws the progress and leaves a summary and the link", async () => {
    const room = t.room()
    const go = join(room, "go")
    const way = await signalled(go)
    const ran = await t.pty(["upload", large(room, "movie.mkv")], {
      env: { FILEIO_BASE_URL: way.url },
      acts: [{ when: " of 60.0 MB", touch: go }]
    })
    way.close()
    assert.deepStrictEqual([ran.code, ran.pending], [0, []])
    assert.match(plain(ran.shown), /movie\.mkv {2}\[#*\.+\] +\d+ % {2}[\d.]+ \w?B of 60\.0 MB {2}[\d.]+ \w?B\/s/)
    const lines = screenOf(ran.shown)
    assert.match(lines[0]!, /^movie\.mkv {2}60\.0 MB in [\d. ms]+, [\d.]+ \wB\/s$/)
    assert.match(lines[1]!, /^http:\S+$/)
    assert.match(lines[2]!, /^ {2}works once, until \d{4}-/)
    assert.strictEqual(lines.length, 3)
  })

  it("fits a narrow terminal, also when it becomes narrow meanwhile", async () => {
    const room = t.room()
    const go = join(room, "go")
    const way = await signalled(go)
    const ran = await t.pty(["upload", large(room, "a name that is longer than the terminal is wide.mkv")], {
      env: { FILEIO_BASE_URL: way.url },
      columns: 100,
      acts: [{ when: " of 60.0 MB", resize: 30 }, { when: "\u001B[J", touch: go }]
    })
    way.close()
    assert.deepStrictEqual([ran.code, ran.pending], [0, []])
    const screen = new Screen(100)
    const [mark] = ran.marks
    screen.write(ran.shown.slice(0, mark![0]))
    screen.resize(mark![1])
    screen.write(ran.shown.slice(mark![0]))
    const lines = screen.shown()
    assert.isFalse(lines.some((line) => line.includes(" % ")), lines.join("\n"))
    assert.isTrue(lines.some((line) => line.startsWith("http:")))
  })

  it("Ctrl-C ends it within a second, and says what became of the file", async () => {
    const room = t.room()
    const way = await gate(t.url(), { up: 1_000_000 })
    const ran = await t.pty(["upload", large(room, "stopped.mkv")], {
      env: { FILEIO_BASE_URL: way.url },
      acts: [{ when: " of 60.0 MB", type: "\u0003" }]
    })
    way.close()
    assert.strictEqual(ran.code, 130)
    assert.isBelow(ran.seconds, 1.5)
    const lines = screenOf(plain(ran.shown).includes("^C") ? ran.shown.replace("^C", "") : ran.shown)
    assert.match(lines.join(" "), /stopped after [\d.]+ MB.+Nothing was stored on the host/)
    assert.isFalse(lines.some((line) => line.includes(" % ")))
  })

  it("is quiet with --quiet, plain on a dumb terminal and in CI, without colours with NO_COLOR", async () => {
    const room = t.room()
    const file = write(room, "small.txt", "small")
    const quiet = await t.pty(["upload", file, "--quiet"])
    assert.match(quiet.shown, /^http:\S+\r\n$/)
    for (const env of [{ TERM: "dumb" }, { CI: "1" }]) {
      const { code, shown } = await t.pty(["upload", file], { env })
      assert.strictEqual(code, 0)
      assert.notInclude(shown, "\u001B")
      assert.match(shown, /^small\.txt {2}5 B in [^\r]+\r\nhttp:\S+\r\n/)
    }
    assert.include((await t.pty(["upload", "missing"])).shown, "\u001B[31m")
    assert.notInclude((await t.pty(["upload", "missing"], { env: { NO_COLOR: "1" } })).shown, "\u001B[31m")
  })

  it("standard output has the result alone", async () => {
    const room = t.room()
    const out = join(room, "out")
    const ran = await t.pty(["upload", write(room, "x.txt", "x"), "--json", "--qr"], { stdout: out })
    assert.strictEqual(ran.code, 0)
    assert.strictEqual(jsonLines(Fs.readFileSync(out, "utf8"))[0]?.type, "uploaded")
    assert.match(ran.shown, /[\u2580\u2584\u2588]{2}/)
    assert.notInclude(ran.shown, "http:")
  })

  it("asks before it deletes", async () => {
    const [link] = await t.lines(["upload", write(t.room(), "asked.txt", "a")])
    const no = await t.pty(["delete", link!], { acts: [{ when: "[y/N] ", type: "\n" }] })
    assert.strictEqual(no.code, 2)
    assert.include(no.shown, "Nothing was deleted.")
    const yes = await t.pty(["delete", link!], { acts: [{ when: "[y/N] ", type: "y\n" }] })
    assert.strictEqual(yes.code, 0)
    assert.strictEqual((await t.run(["delete", link!, "--yes"])).code, 3)
  })

  it("asks for the key and shows nothing of it", async () => {
    const room = t.room()
    const env = { FILEIO_CONFIG: join(room, "config.json"), FILEIO_API_KEY: undefined }
    const acts = [{ when: "(not shown): ", type: `X\u007F${KEY}\r` }]
    const ran = await t.pty(["config", "set", "key"], { env, acts })
    assert.deepStrictEqual([ran.code, ran.pending], [0, []])
    assert.notInclude(ran.shown, KEY.slice(0, 8))
    assert.strictEqual((await t.run(["me"], { env })).code, 0)
    const left = await t.pty(["config", "set", "key"], { env, acts: [{ when: "(not shown): ", type: "\u0003" }] })
    assert.strictEqual(left.code, 130)
    assert.isBelow(left.seconds, 1.5)
  })

  it("says that it waits for the account's limit", async () => {
    const room = t.room()
    const files = [1, 2, 3].map((n) => write(room, `${n}.txt`, String(n)))
    const ran = await t.pty(["upload", ...files], { env: { FILEIO_API_KEY: SLOW_KEY } })
    assert.strictEqual(ran.code, 0)
    assert.match(plain(ran.shown), /waiting \d s for the account's limit of 1\/s/)
    assert.isFalse(screenOf(ran.shown).some((line) => line.includes("waiting")))
  })
})
