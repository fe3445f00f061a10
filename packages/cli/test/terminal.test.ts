import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import { join } from "node:path"
import { plain, Screen } from "./screen.ts"
import { fakeHost, gate, hasPty, jsonLines, KEY, setUp, SLOW_KEY } from "./support.ts"

if (!hasPty) console.warn("SKIPPED: the tests in a terminal; there is no python3 with pty")

const t = setUp()
const write = (folder: string, name: string, content: string | Uint8Array) => {
  const path = join(folder, name)
  Fs.writeFileSync(path, content)
  return path
}

/** Larger than the sockets' buffers. */
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

/** A proxy that opens as soon as a file exists, which `terminal.py` creates. */
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

  it("puts the name of each file beside its link, and the zone of its times", async () => {
    const room = t.room()
    const names = ["first.txt", "second.txt"]
    for (const name of names) Fs.writeFileSync(join(room, name), name)
    const ran = await t.pty(["upload", ...names, "--expires", "2030-12-31T22:30:00Z"], {
      cwd: room,
      env: { TZ: "Asia/Kolkata" }
    })
    assert.strictEqual(ran.code, 0)
    const lines = screenOf(ran.shown)
    for (const name of names) {
      const at = lines.findIndex((line) => line === `  ${name}: works once, until 2031-01-01 04:00 GMT+5:30`)
      assert.isAbove(at, 0, ran.shown)
      assert.match(lines[at - 1]!, /^http:\S+$/)
    }
    const list = await t.run(["list", "--search", "second.txt"], { env: { TZ: "America/New_York" } })
    assert.include(list.stdout, "2030-12-31 17:30 EST")
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

  it("Ctrl-C ends it at once, and says what became of the file", async () => {
    const room = t.room()
    const way = await gate(t.url(), { up: 1_000_000 })
    const ran = await t.pty(["upload", large(room, "stopped.mkv")], {
      env: { FILEIO_BASE_URL: way.url },
      acts: [{ when: " of 60.0 MB", type: "\u0003" }]
    })
    way.close()
    assert.strictEqual(ran.code, 130)
    // All of it would take a minute.
    assert.isBelow(ran.seconds, 20)
    const lines = screenOf(plain(ran.shown).includes("^C") ? ran.shown.replace("^C", "") : ran.shown)
    assert.match(lines.join(" "), /stopped after [\d.]+ [kM]?B.+Continue it by the same command: fileio upload/)
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

  it("prompts for the key without echo", async () => {
    const room = t.room()
    const env = { FILEIO_CONFIG: join(room, "config.json"), FILEIO_API_KEY: undefined }
    const acts = [{ when: "(not shown): ", type: `X\u007F${KEY}\r` }]
    const ran = await t.pty(["config", "set", "key"], { env, acts })
    assert.deepStrictEqual([ran.code, ran.pending], [0, []])
    assert.notInclude(ran.shown, KEY.slice(0, 8))
    assert.strictEqual((await t.run(["me"], { env })).code, 0)
    const left = await t.pty(["config", "set", "key"], { env, acts: [{ when: "(not shown): ", type: "\u0003" }] })
    assert.strictEqual(left.code, 130)
    assert.isBelow(left.seconds, 20)
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

const EVIL = "\u001B]0;OWNED\u0007\u001B[2J\u009B31mRED\u202Egpj\u2066"

/** A host that sends terminal escapes in every text field. */
const hostile = (mode: { refusal: number | undefined }) =>
  fakeHost((request, response) => {
    request.resume()
    request.on("end", () => {
      const file = {
        key: "AAAAAAAAAAAA",
        link: `https://h/${EVIL}/AAAAAAAAAAAA`,
        name: `${EVIL}.txt`,
        title: EVIL,
        expiry: EVIL,
        mimeType: EVIL,
        size: 5
      }
      const json = (status: number, value: object) => {
        response.writeHead(status, { "content-type": "application/json" })
        response.end(JSON.stringify(value))
      }
      if (mode.refusal !== undefined) {
        const words = { code: EVIL, message: EVIL, limit: EVIL, asked: 2, allowed: 1 }
        return json(mode.refusal, { success: false, status: mode.refusal, ...words })
      }
      if (request.url === "/me") return json(200, { success: true, planId: EVIL })
      if (request.method === "GET" && request.url!.startsWith("/AAAA")) {
        const name = Buffer.from(`${EVIL}.txt`).toString("latin1").replaceAll("\u001B", "").replaceAll("\u0007", "")
        response.writeHead(200, { "content-disposition": `attachment; filename="${name}"` })
        return response.end("hello")
      }
      if (request.method === "GET") return json(200, { success: true, nodes: [file], count: 1 })
      return json(200, { success: true, ...file })
    })
  })

describe.skipIf(!hasPty)("the words of a host", () => {
  const mode: { refusal: number | undefined } = { refusal: undefined }
  const uploadFrom = (room: string) => ["upload", write(room, "x.txt", "hello")]
  const cases: ReadonlyArray<readonly [refusal: number | undefined, args: (room: string) => ReadonlyArray<string>]> = [
    [undefined, uploadFrom],
    [undefined, (room) => [...uploadFrom(room), "--qr"]],
    [undefined, (room) => [...uploadFrom(room), "--json"]],
    [undefined, () => ["list"]],
    [undefined, () => ["list", "--json"]],
    [undefined, () => ["me"]],
    [undefined, () => ["me", "--json"]],
    [undefined, (room) => ["download", "AAAAAAAAAAAA", "-o", `${room}/`]],
    [undefined, (room) => ["download", "AAAAAAAAAAAA", "-o", `${room}/`, "--json"]],
    [undefined, () => ["update", "AAAAAAAAAAAA", "--expires", "1d"]],
    ...[400, 402, 500].flatMap((status) => [
      [status, (room: string) => [...uploadFrom(room), "--verbose"]] as const,
      [status, (room: string) => [...uploadFrom(room), "--verbose", "--json"]] as const,
      [status, (room: string) => ["download", "AAAAAAAAAAAA", "-o", `${room}/`, "--verbose"]] as const
    ])
  ]

  it("do not act on the terminal, whatever the command and in JSON", async () => {
    const host = await hostile(mode)
    for (const [refusal, args] of cases) {
      mode.refusal = refusal
      const env = { FILEIO_BASE_URL: host.url }
      const command = args(t.room())
      const { shown } = await t.pty(command, { env })
      for (const evil of ["\u001B]0;", "\u001B[2J", "\u009B", "\u202E", "\u2066"]) {
        assert.isFalse(shown.includes(evil), `${command.join(" ")}: ${JSON.stringify(shown)}`)
      }
    }
    host.close()
  })

  it("are unchanged in JSON for the program that reads it, and made visible in a pipe", async () => {
    const host = await hostile(mode)
    mode.refusal = undefined
    const env = { FILEIO_BASE_URL: host.url }
    const { stdout } = await t.run(["list", "--json"], { env })
    assert.notMatch(stdout, /(?!\n)[\p{Cc}\p{Bidi_Control}]/u)
    const [line] = jsonLines(stdout)
    assert(line?.type === "file")
    assert.deepStrictEqual([line.name, line.title], [`${EVIL}.txt`, EVIL])
    const [link] = await t.lines(uploadFrom(t.room()), { env })
    assert.strictEqual(link, "https://h/\uFFFD]0;OWNED\uFFFD\uFFFD[2J\uFFFD31mRED\uFFFDgpj\uFFFD/AAAAAAAAAAAA")
    host.close()
  })
})
