import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import { join } from "node:path"
import { fakeHost, FREE_KEY, jsonLines, KEY, setUp } from "./support.ts"

const t = setUp()
const write = (folder: string, name: string, content: string | Uint8Array) => {
  const path = join(folder, name)
  Fs.writeFileSync(path, content)
  return path
}
const sha256 = (content: Uint8Array) => createHash("sha256").update(content).digest("hex")

/** A failure is two lines: what failed, and what to do. */
const assertTwoLines = (stderr: string) => {
  assert.match(stderr, /^fileio: [^\n]+\n {2}[^\n]+\n$/)
}

describe.concurrent("upload and download", () => {
  it("gives the link of a file, and the path of what was downloaded, and nothing else", async () => {
    const room = t.room()
    const source = write(room, "report ü.txt", "one copy")
    const [link, ...rest] = await t.lines(["upload", source])
    assert.deepStrictEqual(rest, [])
    assert.match(link!, new RegExp(`^${t.url()}/\\w+$`))

    const inbox = join(room, "inbox")
    Fs.mkdirSync(inbox)
    const [path] = await t.lines(["download", link!, "--output", inbox])
    assert.strictEqual(path, join(inbox, "report ü.txt"))
    assert.strictEqual(Fs.readFileSync(path!, "utf8"), "one copy")

    const again = await t.run(["download", link!, "--output", inbox])
    assert.strictEqual(again.code, 3)
    assert.strictEqual(again.stdout, "")
    assertTwoLines(again.stderr)
    assert.include(again.stderr, "No copy was used up.")
    const asJson = await t.run(["download", link!, "--output", inbox, "--json"])
    assert.deepInclude(JSON.parse(asJson.stdout.trim().split("\n").at(-1)!), {
      type: "error",
      copy: "absent",
      exitCode: 3
    })
    assert.deepStrictEqual(Fs.readdirSync(inbox), ["report ü.txt"])
  })

  it("requests a download that counts when it begins, and says if a host does not support that", async () => {
    const source = write(t.room(), "seen.txt", "once")
    const known = await t.run(["upload", source, "--count-first", "--json"])
    const [line] = jsonLines(known.stdout)
    assert(line?.type === "uploaded")
    assert.deepStrictEqual([line.countFrom, line.attempts, line.downloads], ["first-byte", 0, 0])
    assert.notInclude((await t.run(["upload", source, "--count-first"])).stderr, "does not know")
    const host = await fakeHost((_request, response) => {
      response.setHeader("content-type", "application/json")
      response.end(
        JSON.stringify({ success: true, status: 200, key: "abcdefghijkl", link: "https://host/abcdefghijkl" })
      )
    })
    const other = await t.run(["upload", source, "--count-first", "--base-url", host.url])
    host.close()
    assert.strictEqual(other.code, 0, other.stderr)
    assert.include(other.stderr, "this host does not know --count-first")
  })

  it("writes the links in the order of the arguments, and continues after a failure", async () => {
    const room = t.room()
    const big = write(room, "a-big.bin", new Uint8Array(3_000_000))
    const small = write(room, "b-small.txt", "b")
    const ran = await t.run(["upload", big, join(room, "missing"), small, "--json"])
    assert.strictEqual(ran.code, 8)
    assert.strictEqual(ran.stderr, "")
    const lines = jsonLines(ran.stdout)
    assert.deepStrictEqual(lines.map((line) => line.type), ["uploaded", "error", "uploaded"])
    const [first, second, third] = lines
    assert(first?.type === "uploaded" && second?.type === "error" && third?.type === "uploaded")
    assert.deepStrictEqual([first.source, third.source], [big, small])
    assert.strictEqual(second.reason, "SourceFailed")
    assert.strictEqual(second.stored, "no")
    assert.strictEqual(second.exitCode, 8)
  })

  it("says on standard error what standard output does not take: a link with its secret, and where a file is", async () => {
    const room = t.room()
    const source = write(room, "a.txt", "one copy")
    const unread = (args: ReadonlyArray<string>) => {
      const { child, ended } = t.start(args)
      child.stdin.end()
      child.stdout.destroy()
      return ended
    }
    const [link] = await t.lines(["upload", source, "--max-downloads", "9"])
    for (
      const args of [
        ["upload", source, "--encrypt"],
        ["upload", source, "--encrypt", "--json"],
        ["update", link!, "--file", source, "--encrypt"],
        ["replace", link!, "--file", source, "--encrypt", "--json"]
      ]
    ) {
      const { code, stderr } = await unread(args)
      assert.strictEqual(code, 8, stderr)
      const said = /The link: (\S+#age=AGE-SECRET-KEY-1\S+)/.exec(stderr)?.[1]
      const { stdout } = await t.run(["download", said ?? "none", "--output", "-"])
      assert.strictEqual(stdout, "one copy", stderr)
    }
    const [plain] = await t.lines(["upload", source])
    const path = join(room, "saved.txt")
    const saved = await unread(["download", plain!, "--output", path, "--json"])
    assert.strictEqual(saved.code, 8, saved.stderr)
    assert.include(saved.stderr, `it is saved as ${path}`)
    assert.strictEqual(Fs.readFileSync(path, "utf8"), "one copy")
  })

  it("reads standard input and writes to standard output, byte for byte", async () => {
    const content = new Uint8Array(2_000_003).map((_, index) => index * 7)
    const sent = await t.run(["upload", "-", "--name", "from a pipe.bin", "--json"], { stdin: content })
    assert.strictEqual(sent.stderr, "")
    const [line] = jsonLines(sent.stdout)
    assert(line?.type === "uploaded")
    assert.strictEqual(line.source, "-")
    assert.strictEqual(line.name, "from a pipe.bin")
    const got = await t.run(["download", line.key, "-o", "-", "--json"])
    assert.strictEqual(got.code, 0)
    assert.strictEqual(sha256(got.bytes), sha256(content))
    const [told] = jsonLines(got.stderr)
    assert(told?.type === "downloaded")
    assert.strictEqual(told.path, "-")
    assert.strictEqual(told.bytes, content.length)
  })

  it("refuses a folder with a hint, and sends it as one archive with --tar", async () => {
    const room = t.room()
    const folder = join(room, "photos")
    Fs.mkdirSync(join(folder, "empty"), { recursive: true })
    write(folder, "ä.jpg", new Uint8Array(1_200_000).fill(3))
    write(folder, "run.sh", "#!/bin/sh\n")
    Fs.chmodSync(join(folder, "run.sh"), 0o755)
    Fs.symlinkSync("ä.jpg", join(folder, "latest"))

    const refused = await t.run(["upload", folder])
    assert.strictEqual(refused.code, 8)
    assertTwoLines(refused.stderr)
    assert.include(refused.stderr, "--tar")

    const sent = await t.run(["upload", "--tar", folder, "--json"])
    assert.strictEqual(sent.stderr, "")
    const [line] = jsonLines(sent.stdout)
    assert(line?.type === "uploaded")
    assert.strictEqual(line.name, "photos.tar")
    const archive = join(room, "photos.tar")
    assert.deepStrictEqual(await t.lines(["download", line.key, "-o", archive]), [archive])
    const out = join(room, "out")
    Fs.mkdirSync(out)
    assert.strictEqual(spawnSync("tar", ["xf", archive, "-C", out]).status, 0)
    const unpacked = join(out, "photos")
    assert.deepStrictEqual(Fs.readdirSync(unpacked).toSorted(), ["empty", "latest", "run.sh", "ä.jpg"])
    assert.strictEqual(Fs.readlinkSync(join(unpacked, "latest")), "ä.jpg")
    assert.strictEqual(Fs.statSync(join(unpacked, "run.sh")).mode & 0o777, 0o755)
    assert.deepStrictEqual(Fs.readFileSync(join(unpacked, "ä.jpg")), Fs.readFileSync(join(folder, "ä.jpg")))
  })

  it("never uses up a copy if the name is taken, and overwrites or numbers on request", async () => {
    const room = t.room()
    const taken = write(room, "taken.txt", "mine")
    const source = write(room, "source.txt", "theirs")
    const [link] = await t.lines(["upload", source, "--max-downloads", "2"])
    const refused = await t.run(["download", link!, "-o", taken])
    assert.strictEqual(refused.code, 8)
    assertTwoLines(refused.stderr)
    assert.include(refused.stderr, "The file is still on the host.")
    assert.strictEqual(Fs.readFileSync(taken, "utf8"), "mine")
    assert.deepStrictEqual(await t.lines(["download", link!, "-o", taken, "--number"]), [join(room, "taken (1).txt")])
    assert.deepStrictEqual(await t.lines(["download", link!, "-o", taken, "--overwrite"]), [taken])
    assert.strictEqual(Fs.readFileSync(taken, "utf8"), "theirs")
  })

  it.skipIf(process.platform === "win32")(
    "takes a backslash for a character of a name, also of an encrypted file's",
    async () => {
      const room = t.room()
      const path = write(room, "AC\\DC.txt", "1980")
      for (const encrypt of [[], ["--encrypt"]]) {
        const [link] = await t.lines(["upload", path, ...encrypt])
        const [saved] = await t.lines(["download", link!], { cwd: Fs.mkdtempSync(join(room, "in-")) })
        assert.match(saved!, /\/AC_DC\.txt$/)
      }
      const [link] = await t.lines(["upload", path])
      assert.deepStrictEqual(await t.lines(["download", link!, "-o", join(room, "end\\")]), [join(room, "end\\")])
      assert.strictEqual(Fs.readFileSync(join(room, "end\\"), "utf8"), "1980")
    }
  )

  it("requests a link from its own host, without the key of another host", async () => {
    const room = t.room()
    const [link] = await t.lines(["upload", write(room, "x.txt", "x")])
    // The configured host is down, and no other host may get its key.
    const env = { FILEIO_BASE_URL: "http://127.0.0.1:9", FILEIO_API_KEY: KEY }
    assert.deepStrictEqual(await t.lines(["download", link!, "-o", join(room, "y.txt")], { env }), [
      join(room, "y.txt")
    ])
  })

  it("requests a link from the service below its path, without the key of another on the same host", async () => {
    const seen: Array<readonly [path: string | undefined, key: string | undefined]> = []
    const host = await fakeHost((request, response) => {
      seen.push([request.url, request.headers.authorization])
      response.writeHead(200, { "content-disposition": "attachment; filename=x.txt" })
      response.end("x")
    })
    const room = t.room()
    for (const base of [`${host.url}/two`, host.url, `${host.url}/one/`]) {
      await t.lines(["download", `<${host.url}/one/abcdefghijkl>.`, "-o", `${room}/`], {
        env: { FILEIO_BASE_URL: base }
      })
    }
    host.close()
    assert.deepStrictEqual(seen, [
      ["/one/abcdefghijkl", undefined],
      ["/one/abcdefghijkl", undefined],
      ["/one/abcdefghijkl", `Bearer ${KEY}`]
    ])
  })
})

describe.concurrent("the account", () => {
  it("lists files as an aligned table, and as lines of JSON", async () => {
    const room = t.room()
    const env = { FILEIO_API_KEY: FREE_KEY }
    const names = ["list-a.txt", "list-bbbbbbbb.txt", "list-c \u001B[31m.txt"]
    for (const [index, name] of names.entries()) {
      await t.lines(["upload", write(room, `${index}`, "x".repeat(10 ** index)), "--name", name], { env })
    }
    const [head, ...rows] = await t.lines(["list", "--search", "list-", "--sort", "-size"], { env })
    assert.match(head!, /^KEY +NAME +SIZE {2}TAKEN {3}EXPIRES$/)
    assert.strictEqual(rows.length, 3)
    const column = head!.indexOf("NAME")
    assert.isTrue(rows[0]!.slice(column).startsWith("list-c [31m.txt"), rows[0])
    assert.isTrue(rows.every((row) => row.slice(column, column + 5) === "list-"))
    assert.isTrue(rows.every((row) => row.indexOf("0 of 1") === head!.indexOf("TAKEN")))

    const json = jsonLines((await t.run(["list", "--all", "--json"], { env })).stdout)
    assert.deepStrictEqual(json.map((line) => line.type === "file" ? line.name : line.type).toSorted(), [
      ...names.slice(0, 2),
      "list-c [31m.txt"
    ])
    const one = await t.lines(["list", "--limit", "1", "--offset", "1", "--sort", "name"], { env })
    assert.include(one[1], "list-bbbbbbbb.txt")
  })

  it("shows the used storage as a bar", async () => {
    const lines = await t.lines(["me"])
    assert.match(lines.join("\n"), /^storage +\[[#.]{30}\] (?:\d+|< 1) %, .+ of .+$/m)
    const [line] = jsonLines((await t.run(["me", "--json"])).stdout)
    assert.strictEqual(line?.type, "account")
  })

  it("updates what is given, and replaces with the defaults", async () => {
    const room = t.room()
    const [link] = await t.lines(["upload", write(room, "u.txt", "old"), "--max-downloads", "7", "--expires", "1d"])
    const updated = jsonLines((await t.run(["update", link!, "--expires", "never", "--json"])).stdout)[0]
    assert(updated?.type === "updated")
    assert.deepStrictEqual([updated.expires, updated.maxDownloads], [null, 7])
    const file = write(room, "new.txt", "new")
    const replaced = jsonLines((await t.run(["replace", link!, "--file", file, "--json"])).stdout)[0]
    assert(replaced?.type === "replaced")
    assert.strictEqual(replaced.maxDownloads, 1)
    assert.isNotNull(replaced.expires)
    assert.strictEqual((await t.run(["download", link!, "-o", "-"])).stdout, "new")
  })

  it("deletes only with --yes where there is no terminal", async () => {
    const [link] = await t.lines(["upload", write(t.room(), "d.txt", "d")])
    const refused = await t.run(["delete", link!])
    assert.strictEqual(refused.code, 2)
    assertTwoLines(refused.stderr)
    assert.deepStrictEqual(await t.lines(["delete", link!, "--yes"]), [])
    const gone = await t.run(["delete", link!, "--yes"])
    assert.strictEqual(gone.code, 3)
    assertTwoLines(gone.stderr)
  })
})

describe.concurrent("the deletion token", () => {
  /** No key, and a home of its own. */
  const stranger = (more: Record<string, string | undefined> = {}) => {
    const room = t.room()
    return {
      room,
      state: join(room, ".local", "state", "fileio"),
      env: {
        HOME: room,
        XDG_STATE_HOME: undefined,
        FILEIO_CONFIG: join(room, "config.json"),
        FILEIO_API_KEY: undefined,
        ...more
      }
    }
  }

  it("is kept, so that who uploaded without a key deletes with the link alone", async () => {
    const { env, room, state } = stranger()
    const [first] = await t.lines(["upload", write(room, "a.txt", "a")], { env })
    const [second] = await t.lines(["upload", write(room, "b.txt", "b")], { env })
    const kept = Fs.readdirSync(state)
    assert.strictEqual(kept.length, 2)
    for (const name of kept) {
      assert.strictEqual(Fs.statSync(join(state, name)).mode & 0o777, 0o600)
      const text = name + Fs.readFileSync(join(state, name), "utf8")
      for (const link of [first!, second!]) assert.notInclude(text, link.split("/").at(-1)!)
    }
    assert.strictEqual(Fs.statSync(state).mode & 0o777, 0o700)

    // Nobody else can, and no other host gets the token.
    const other = await t.run(["delete", first!, "--yes"], { env: stranger().env })
    assert.strictEqual(other.code, 4)
    assert.match(other.stderr, /needs an API key.*\n.*FILEIO_DELETE_TOKEN/)
    const asked: Array<unknown> = []
    const evil = await fakeHost((request, response) => {
      asked.push(request.headers["delete-token"])
      response.writeHead(401, { "content-type": "application/json" }).end("{\"success\":false,\"status\":401}")
    })
    await t.run(["delete", first!.replace(t.url(), evil.url), "--yes"], { env })
    evil.close()
    assert.deepStrictEqual(asked.filter((token) => token !== undefined), [])

    const deleted = await t.run(["delete", first!, second!.split("/").at(-1)!, "--yes", "--json"], { env })
    assert.strictEqual(deleted.code, 0, deleted.stderr)
    assert.deepStrictEqual(jsonLines(deleted.stdout).map(({ type }) => type), ["deleted", "deleted"])
    assert.deepStrictEqual(Fs.readdirSync(state), [])
    assert.strictEqual((await t.run(["download", first!, "-o", "-"], { env })).code, 3)
  })

  it("is shown only with --show-token, and taken from standard input or a variable", async () => {
    const { env, room } = stranger()
    const path = write(room, "a.txt", "a")
    const plain = await t.run(["upload", path, "--json", "--verbose"], { env })
    const [line] = jsonLines(plain.stdout)
    assert(line?.type === "uploaded")
    assert.notInclude(plain.stdout + plain.stderr, "oken")
    const [shown] = jsonLines((await t.run(["upload", path, "--json", "--show-token"], { env })).stdout)
    assert(shown?.type === "uploaded")
    assert.match(shown.deleteToken!, /^[\w-]{32}$/)
    const text = await t.run(["upload", path, "--show-token"], { env })
    const token = /deletion token: ([\w-]{32})\n/.exec(text.stderr)?.[1]
    const link = text.stdout.trim()

    const elsewhere = stranger()
    const wrong = await t.run(["delete", link, "--yes", "--token-stdin", "--verbose"], {
      env: elsewhere.env,
      stdin: `${shown.deleteToken}\n`
    })
    assert.strictEqual(wrong.code, 3)
    assert.match(wrong.stderr, /the deletion token is not its own/)
    assert.notInclude(wrong.stderr, shown.deleteToken!)
    const two = await t.run(["delete", link, shown.link, "--yes", "--token-stdin"], {
      env: elsewhere.env,
      stdin: token!
    })
    assert.strictEqual(two.code, 2)
    const empty = await t.run(["delete", link, "--yes", "--token-stdin"], { env: elsewhere.env, stdin: "" })
    assert.strictEqual(empty.code, 2)
    assertTwoLines(empty.stderr)
    const right = await t.run(["delete", link, "--yes", "--token-stdin"], { env: elsewhere.env, stdin: `${token}\n` })
    assert.strictEqual(right.code, 0, right.stderr)
    const byVariable = stranger({ FILEIO_DELETE_TOKEN: shown.deleteToken })
    assert.strictEqual((await t.run(["delete", shown.link, "--yes"], { env: byVariable.env })).code, 0)
  })

  it("is not kept with an account; what cannot be kept, and tokens of files that have expired, do no harm", async () => {
    const { env, room, state } = stranger()
    await t.lines(["upload", write(room, "a.txt", "a")], { env: { ...env, FILEIO_API_KEY: KEY } })
    assert.isFalse(Fs.existsSync(state))
    Fs.mkdirSync(state, { recursive: true })
    const old = join(state, `token-${"0".repeat(32)}-1.json`)
    Fs.writeFileSync(old, "{}")
    write(state, "of-another.json", "kept")
    const [link] = await t.lines(["upload", write(room, "a.txt", "a")], { env })
    assert.isFalse(Fs.existsSync(old))
    assert.strictEqual(Fs.readdirSync(state).length, 2)
    // A changed record is no record.
    const mine = Fs.readdirSync(state).find((name) => name.startsWith("token-"))!
    Fs.writeFileSync(join(state, mine), "no JSON")
    assert.strictEqual((await t.run(["delete", link!, "--yes"], { env })).code, 4)

    const blocked = stranger()
    Fs.mkdirSync(join(blocked.room, ".local", "state"), { recursive: true })
    Fs.writeFileSync(blocked.state, "a file in place of the folder")
    const ran = await t.run(["upload", write(room, "a.txt", "a")], { env: blocked.env })
    assert.strictEqual(ran.code, 0)
    assert.match(ran.stderr, /cannot be kept in .*--show-token/)
  })
})

describe.concurrent("the settings", () => {
  const config = (room: string, more: Record<string, string | undefined> = {}) => ({
    env: {
      FILEIO_CONFIG: undefined,
      XDG_CONFIG_HOME: room,
      HOME: room,
      FILEIO_BASE_URL: undefined,
      FILEIO_API_KEY: undefined,
      ...more
    }
  })

  it("keeps the key in a file that only its owner can read, and shows it nowhere", async () => {
    const room = t.room()
    const options = config(room)
    await t.lines(["config", "set", "base-url", t.url()], options)
    await t.lines(["config", "set", "key"], { ...options, stdin: `${KEY}\n` })
    const [path] = await t.lines(["config", "path"], options)
    assert.include(path, room)
    if (process.platform !== "win32") {
      assert.strictEqual(Fs.statSync(path!).mode & 0o777, 0o600)
      assert.strictEqual(Fs.statSync(join(path!, "..")).mode & 0o777, 0o700)
    }
    assert.deepStrictEqual(Fs.readdirSync(join(path!, "..")), ["config.json"])
    const shown = await t.run(["config", "--verbose"], options)
    assert.strictEqual(shown.code, 0)
    assert.notInclude(shown.stdout + shown.stderr, KEY)
    assert.match(shown.stdout, /^key +set +\(file\)$/m)
    assert.strictEqual(jsonLines((await t.run(["me", "--json"], options)).stdout)[0]?.type, "account")

    await t.lines(["config", "unset", "key"], options)
    assert.strictEqual((await t.run(["me"], options)).code, 4)
    assert.deepStrictEqual(JSON.parse(Fs.readFileSync(path!, "utf8")), { baseUrl: t.url() })
  })

  it("does not take a key from the command line", async () => {
    const room = t.room()
    const refused = await t.run(["config", "set", "key", KEY], config(room))
    assert.strictEqual(refused.code, 2)
    assertTwoLines(refused.stderr)
    assert.notInclude(refused.stderr, KEY)
    assert.deepStrictEqual(Fs.readdirSync(room), [])
  })

  it("fetches the key with a command, and says when that fails", async () => {
    const room = t.room()
    const options = config(room, { FILEIO_BASE_URL: t.url() })
    await t.lines(["config", "set", "key-command", `printf '%s\\n' '${KEY}'`], options)
    assert.match((await t.lines(["me"], options)).join("\n"), /^rate limit/m)
    const failing = await t.run(["me"], config(room, { FILEIO_BASE_URL: t.url(), FILEIO_API_KEY_COMMAND: "exit 3" }))
    assert.strictEqual(failing.code, 8)
    assertTwoLines(failing.stderr)
    assert.include(failing.stderr, "ended with code 3")
  })

  it("sends a stored key to the host it was stored for, and to no other", async () => {
    const room = t.room()
    await t.lines(["config", "set", "key"], {
      ...config(room, { FILEIO_BASE_URL: "https://other.example" }),
      stdin: KEY
    })
    assert.strictEqual((await t.run(["me"], config(room, { FILEIO_BASE_URL: t.url() }))).code, 4)
  })

  it("refuses a file with a key that others can read", async () => {
    const room = t.room()
    const options = config(room, { FILEIO_BASE_URL: t.url() })
    await t.lines(["config", "set", "key"], { ...options, stdin: KEY })
    const [path] = await t.lines(["config", "path"], options)
    Fs.chmodSync(path!, 0o644)
    const refused = await t.run(["me"], options)
    assert.strictEqual(refused.code, 8)
    assert.include(refused.stderr, `chmod 600 ${path}`)
  })

  it("writes through a link, also to a missing file", async () => {
    const room = t.room()
    const options = config(room)
    const [path] = await t.lines(["config", "path"], options)
    const file = join(room, "dotfiles", "fileio.json")
    Fs.mkdirSync(join(path!, ".."), { recursive: true })
    Fs.mkdirSync(join(room, "dotfiles"))
    Fs.symlinkSync(file, path!)
    for (const baseUrl of ["https://one.example", "https://two.example"]) {
      await t.lines(["config", "set", "base-url", baseUrl], options)
      assert.isTrue(Fs.lstatSync(path!).isSymbolicLink())
      assert.deepStrictEqual(JSON.parse(Fs.readFileSync(file, "utf8")), { baseUrl })
    }
  })

  it("lets flags override variables, and variables the file", async () => {
    const room = t.room()
    const baseUrl = async (env: Record<string, string>, ...flags: Array<string>) => {
      const [line] = jsonLines((await t.run(["config", "--json", ...flags], config(room, env))).stdout)
      assert(line?.type === "settings")
      const { from, value } = line.settings.find(({ name }) => name === "base-url")!
      return `${value} ${from}`
    }
    assert.strictEqual(await baseUrl({}), "https://file.io default")
    await t.lines(["config", "set", "base-url", "https://file.example"], config(room))
    assert.strictEqual(await baseUrl({}), "https://file.example file")
    const variable = { FILEIO_BASE_URL: "https://variable.example" }
    assert.strictEqual(await baseUrl(variable), "https://variable.example variable")
    assert.strictEqual(await baseUrl(variable, "--base-url", "https://flag.example"), "https://flag.example flag")
  })

  it("takes variables as people and secret stores write them, and says which one is wrong", async () => {
    const file = write(t.room(), "x.txt", "x")
    const variables = [
      { FILEIO_EXPIRES: "1d\n" },
      { FILEIO_MAX_DOWNLOADS: "3 \n" },
      { FILEIO_API_KEY: `${KEY}\r\n` },
      { FILEIO_API_KEY: "" },
      { FILEIO_BASE_URL: `${t.url()}\n` },
      { FILEIO_IDLE_TIMEOUT: "30 seconds\n", FILEIO_FIRST_BYTE_TIMEOUT: "PT1M", FILEIO_CONNECT_TIMEOUT: "30" },
      { FILEIO_ALLOW_INSECURE_KEY: "yes", FILEIO_CHECK_LIMITS: "off" }
    ]
    for (const env of variables) assert.match((await t.lines(["upload", file], { env }))[0]!, /^http/)
    for (
      const [env, says] of [
        [{ FILEIO_IDLE_TIMEOUT: "soon" }, "FILEIO_IDLE_TIMEOUT: \"soon\" cannot be read; allowed: a time such as 30s"],
        [
          { FILEIO_ALLOW_INSECURE_KEY: "perhaps" },
          "FILEIO_ALLOW_INSECURE_KEY: \"perhaps\" cannot be read; allowed: true"
        ],
        [{ FILEIO_MAX_DOWNLOADS: "many" }, "invalid FILEIO_MAX_DOWNLOADS"],
        [{ FILEIO_EXPIRES: "soon" }, "invalid FILEIO_EXPIRES"]
      ] as const
    ) {
      const ran = await t.run(["upload", file], { env })
      assert.strictEqual(ran.code, 2)
      assert.include(ran.stderr, says)
      assert.notInclude(ran.stderr, "SchemaError")
    }
  })

  it("reads its file with a byte-order mark, and refuses an address that is none", async () => {
    const room = t.room()
    const config = write(room, "config.json", `\uFEFF{ "baseUrl": "${t.url()}" }\r\n`)
    const env = { FILEIO_CONFIG: config, FILEIO_BASE_URL: undefined }
    assert.include((await t.lines(["config"], { env })).join("\n"), t.url())
    for (const args of [["config", "set", "base-url"], ["serve", "--port", "0", "--public-url"]]) {
      const ran = await t.run([...args, "share.example:8080"], { env: { FILEIO_CONFIG: join(room, "other.json") } })
      assert.strictEqual(ran.code, 2)
      assert.include(ran.stderr, "such as https://share.example:8080")
    }
  })

  it("gives uploads the expiry and the downloads of the settings, unless a flag does", async () => {
    const room = t.room()
    const file = write(room, "f.txt", "f")
    const env = { FILEIO_EXPIRES: "never", FILEIO_MAX_DOWNLOADS: "unlimited" }
    const upload = async (...flags: Array<string>) => {
      const [line] = jsonLines((await t.run(["upload", file, "--json", ...flags], { env })).stdout)
      assert(line?.type === "uploaded")
      return line
    }
    const byVariable = await upload()
    assert.deepStrictEqual([byVariable.expires, byVariable.maxDownloads], [null, null])
    const byFlag = await upload("--expires", "1h", "--max-downloads", "2")
    assert.isNotNull(byFlag.expires)
    assert.strictEqual(byFlag.maxDownloads, 2)
  })
})

describe.concurrent("completions", () => {
  it("are scripts that name the commands", async () => {
    const script = (await t.lines(["completions", "bash"])).join("\n")
    assert.include(script, "max-downloads")
    assert.strictEqual(spawnSync("bash", ["-n"], { input: script }).status ?? 0, 0)
    for (const shell of ["zsh", "fish", "powershell"]) {
      assert.include((await t.lines(["completions", shell])).join("\n"), "upload")
    }
  })

  it("propose the flags of every command, and values", async () => {
    const folder = t.room()
    Fs.writeFileSync(join(folder, "script"), (await t.lines(["completions", "bash"])).join("\n"))
    const propose = (...words: ReadonlyArray<string>) => {
      const line = `source ./script
        COMP_WORDS=(fileio "$@"); COMP_CWORD=$#; COMP_LINE="fileio $*"; COMP_POINT=\${#COMP_LINE}
        "$(complete -p fileio | sed 's/.*-F \\([^ ]*\\).*/\\1/')" fileio "\${@: -1}" "\${@: -2:1}"; printf '%s\\n' "\${COMPREPLY[@]}"`
      const { stdout } = spawnSync("bash", ["-c", line, "-", ...words], { cwd: folder, encoding: "utf8" })
      return stdout.split("\n").map((word) => word.trim())
    }
    for (const flag of ["--json", "--base-url", "--cacert", "--help", "--expires"]) {
      assert.include(propose("upload", "--"), flag)
    }
    assert.include(propose("me", "--j"), "--json")
    assert.includeMembers(propose("list", "--sort", ""), ["name", "-created"])
    assert.includeMembers(propose("upload", "--expires", ""), ["1d", "never"])
    assert.include(propose("upload", "scr"), "script")
  })
})
