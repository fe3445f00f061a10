import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import type { RequestListener } from "node:http"
import { type AddressInfo, createServer } from "node:net"
import { dirname, join } from "node:path"
import * as ExitCode from "../src/ExitCode.ts"
import * as JsonLine from "../src/JsonLine.ts"
import { fakeHost, FREE_KEY, gate, jsonLines, type Ran, setUp, until } from "./support.ts"

const t = setUp()
const write = (folder: string, name: string, content: string | Uint8Array) => {
  const path = join(folder, name)
  Fs.writeFileSync(path, content)
  return path
}

const assertFails = (ran: Ran, code: number, ...words: ReadonlyArray<string>) => {
  assert.match(ran.stderr, /^fileio: [^\n]+\n {2}[^\n]+\n$/)
  for (const word of words) assert.include(ran.stderr, word)
  assert.strictEqual(ran.code, code)
  assert.strictEqual(ran.stdout, "")
}

const withHost = async (listener: RequestListener, use: (url: string) => Promise<void>) => {
  const host = await fakeHost(listener)
  try {
    await use(host.url)
  } finally {
    host.close()
  }
}

describe("help and version", () => {
  it("says its version before it loads the commands", () => {
    const hook = "if (/\\/main[^/]*$/.test(name)) throw new Error('loaded ' + name); return next(name, context)"
    const refuse =
      `import { registerHooks } from "node:module"; registerHooks({ resolve(name, context, next) { ${hook} } })`
    const args = (of: string) => ["--import", `data:text/javascript,${encodeURIComponent(refuse)}`, t.bin, of]
    const { stdout } = spawnSync(process.execPath, args("--version"), { encoding: "utf8" })
    assert.match(stdout, /^fileio \d+\.\d+\.\d+\n$/)
    assert.include(
      spawnSync(process.execPath, args("--help"), { encoding: "utf8" }).stderr,
      "loaded ./main-"
    )
  })

  it("takes help as a command, alone and before another", async () => {
    assert.deepStrictEqual(await t.lines(["help"]), await t.lines(["--help"]))
    assert.deepStrictEqual(await t.lines(["help", "upload"]), await t.lines(["upload", "--help"]))
    assert.deepStrictEqual(await t.lines(["help", "config", "set"]), await t.lines(["config", "set", "--help"]))
  })

  it("documents every exit code in --help", async () => {
    const help = (await t.lines(["--help"])).join("\n")
    for (const [code, meaning] of ExitCode.table) {
      assert.match(help, new RegExp(`^ {2}${code} +${meaning.replace(/[()]/g, "\\$&")}$`, "m"))
    }
    for (
      const name of [
        "upload",
        "download",
        "list",
        "me",
        "update",
        "replace",
        "delete",
        "await",
        "serve",
        "config",
        "completions"
      ]
    ) {
      assert.match(help, new RegExp(`^ {2}${name} {2,}\\w`, "m"))
    }
  })

  it("is published as one program that needs no other package", () => {
    const manifest = JSON.parse(Fs.readFileSync(join(import.meta.dirname, "../package.json"), "utf8"))
    assert.strictEqual(manifest.dependencies, undefined)
    // The engines of a larger server are loaded only if `serve` is configured to use one.
    for (const name of Object.keys(manifest.peerDependencies ?? {})) {
      assert.isTrue(manifest.peerDependenciesMeta[name].optional, name)
    }
    assert.strictEqual(join(dirname(dirname(t.bin)), manifest.publishConfig.bin.fileio), t.bin)
    assert.isTrue(Fs.readFileSync(t.bin, "utf8").startsWith("#!/usr/bin/env node\n"))
  })

  it("has a README with every exit code and every type of line", () => {
    const readme = Fs.readFileSync(join(import.meta.dirname, "../README.md"), "utf8")
    for (const [code, meaning] of ExitCode.table) {
      assert.match(readme, new RegExp(`^\\| ${code} +\\| ${meaning.replace(/[()]/g, "\\$&")} +\\|$`, "m"))
    }
    for (const line of JsonLine.JsonLine.members) {
      assert.match(readme, new RegExp(`^\\| \`${line.fields.type.literal}\` +\\|`, "m"))
    }
  })

  it("runs from the sources too", () => {
    const { status, stdout } = spawnSync(process.execPath, [
      join(import.meta.dirname, "../src/bin.ts"),
      "upload",
      "--help"
    ], {
      encoding: "utf8",
      env: t.environment()
    })
    assert.strictEqual(status, 0)
    assert.include(stdout, "--max-downloads N")
  })
})

describe.concurrent("exit codes", () => {
  it("2: usage, with the nearest flag or command", async () => {
    assertFails(await t.run(["upload", "x", "--expire", "1d"]), 2, "did you mean --expires", "fileio upload --help")
    assertFails(await t.run(["uplaod", "x"]), 2, "did you mean upload")
    assertFails(await t.run(["upload"]), 2, "missing required argument")
    assertFails(await t.run(["upload", "package.json", "--expires", "soon"]), 2, "invalid expires", "Nothing was sent")
    assertFails(await t.run(["upload", "x", "--max-downloads", "0"]), 2, "invalid --max-downloads")
    assertFails(await t.run(["download", "not a key!", "-o", "-"]), 2, "invalid key")
    const none = await t.run([])
    assert.strictEqual(none.code, 2)
    assert.strictEqual(none.stdout, "")
    assert.include(none.stderr, "USAGE")
    const json = await t.run(["upload", "--json", "--nope"])
    const [line] = jsonLines(json.stdout)
    assert(line?.type === "error")
    assert.deepStrictEqual([line.reason, line.exitCode, json.code, json.stderr], ["Usage", 2, 2, ""])
  })

  it("4: not authorised", async () => {
    assertFails(
      await t.run(["me"], { env: { FILEIO_API_KEY: undefined } }),
      4,
      "needs an API key",
      "fileio config set key"
    )
    assertFails(await t.run(["list"], { env: { FILEIO_API_KEY: "NOT.A-KEY" } }), 4, "does not accept the API key")
  })

  it("5: rate-limited beyond the wait", () =>
    withHost((_, response) => {
      response.writeHead(429, { "retry-after": "3600", "content-type": "application/json" })
      response.end(JSON.stringify({ success: false, status: 429, code: "TOO_MANY_REQUESTS", message: "Too many" }))
    }, async (url) => {
      const env = { FILEIO_BASE_URL: url, FILEIO_API_KEY: undefined }
      assertFails(await t.run(["download", "abcdefgh"], { env }), 5, "The file is still on the host.", "Try again in")
    }))

  it("says no time to wait where there is none", () =>
    withHost((_, response) => {
      response.writeHead(423, { "retry-after": "0", "content-type": "application/json" })
      response.end(JSON.stringify({ success: false, status: 423, code: "DOWNLOAD_IN_PROGRESS", message: "Busy" }))
    }, async (url) => {
      const { stderr } = await t.run(["download", "abcdefgh"], {
        env: { FILEIO_BASE_URL: url, FILEIO_API_KEY: undefined }
      })
      assert.match(stderr, /Try again\. It is available again only if/)
    }))

  it("6: beyond the plan", async () => {
    const file = write(t.room(), "six.txt", "6")
    const ran = await t.run(["upload", file, "--max-downloads", "9"], { env: { FILEIO_API_KEY: FREE_KEY } })
    assertFails(ran, 6, "maxDownloads", "Nothing was stored on the host.")
  })

  it("7: no network, and a host that is no API", () =>
    withHost((_, response) => {
      response.writeHead(200, { "content-type": "text/html" })
      response.end("<html>not here</html>")
    }, async (url) => {
      const room = t.room()
      const env = { FILEIO_API_KEY: undefined }
      const away = await t.run(["download", "abcdefgh", "--base-url", "http://127.0.0.1:9", "-o", room], { env })
      assertFails(away, 7, "ECONNREFUSED", "The file is still on the host.", "--base-url")
      assertFails(await t.run(["list", "--base-url", url]), 7, "does not speak the file.io API", "--base-url")
      const page = await t.run(["download", "abcdefgh", "--base-url", url, "-o", room], { env })
      assert.deepStrictEqual(Fs.readdirSync(room), [])
      assert.include([7, 9], page.code)
    }))

  it("8: a local file or folder", async () => {
    assertFails(await t.run(["upload", "missing.txt"]), 8, "there is no such file", "Nothing was stored on the host.")
    assertFails(await t.run(["upload", write(t.room(), "empty", "")]), 8, "it is empty")
    const file = write(t.room(), "file", "f")
    const ran = await t.run(["download", "abcdefgh", "-o", join(file, "below", "x.txt")])
    assertFails(ran, 8, "a part of the path is a file, and no folder", "The file is still on the host.")
  })

  it("9: the copy is lost or may be, and the error names the received bytes", () =>
    withHost((_, response) => {
      response.writeHead(200, { "content-length": "1000", "content-disposition": "attachment; filename=lost.bin" })
      response.write("x".repeat(400))
      setTimeout(() => response.destroy(), 50)
    }, async (url) => {
      const room = t.room()
      const ran = await t.run(["download", `${url}/abcdefgh`, "-o", room])
      assertFails(ran, 9, "400 B of 1.0 kB")
      const [part] = Fs.readdirSync(room)
      assert.include(ran.stderr, join(room, part!))
      assert.strictEqual(Fs.readFileSync(join(room, part!), "utf8"), "x".repeat(400))
      const [line] = jsonLines((await t.run(["download", `${url}/abcdefgh`, "-o", "-", "--json"])).stderr)
      assert(line?.type === "error")
      assert.strictEqual(line.exitCode, 9)
      assert.notStrictEqual(line.copy, "kept")
    }))

  it("9: an upload whose response was lost may be stored", () =>
    withHost((request, response) => {
      request.resume().on("end", () => response.destroy())
    }, async (url) => {
      const env = { FILEIO_BASE_URL: url, FILEIO_API_KEY: undefined }
      assertFails(await t.run(["upload", write(t.room(), "nine", "9")], { env }), 9, "It may have been stored")
    }))

  it("shows the causes with --verbose", async () => {
    const ran = await t.run(["upload", "missing.txt", "--verbose"])
    assert.match(ran.stderr, /^ {2}cause: .*ENOENT/m)
  })
})

describe("stopped by Ctrl-C", () => {
  it("an upload ends at once and says that nothing was stored", async () => {
    const way = await gate(t.url(), {})
    const env = { FILEIO_API_KEY: FREE_KEY }
    const { child, ended } = t.start(["upload", "-", "--name", "stopped.bin"], {
      env: { ...env, FILEIO_BASE_URL: way.url }
    })
    child.stdin.write(new Uint8Array(200_000))
    await until(() => way.sent() > 200_000, "the bytes")
    const began = performance.now()
    child.kill("SIGINT")
    const ran = await ended
    // Without the signal it would go on.
    assert.isBelow(performance.now() - began, 20_000)
    assert.strictEqual(ran.code, 130)
    assert.strictEqual(ran.stdout, "")
    assert.include(ran.stderr, "Nothing was stored on the host.")
    way.close()
    const left = jsonLines((await t.run(["list", "--json"], { env })).stdout)
    assert.isFalse(left.some((line) => line.type === "file" && line.name === "stopped.bin"))
  })

  it.each([["", "https"], [" or the proxy", "proxy"]] as const)(
    "before the host%s has taken the connection: nothing was sent, and the copy is kept",
    async (_, way) => {
      let taken = 0
      // It takes connections, and never responds to TLS or to a proxy's CONNECT.
      const silent = createServer((socket) => {
        taken++
        socket.on("error", () => {})
      })
      await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve))
      const at = `127.0.0.1:${(silent.address() as AddressInfo).port}`
      const env = {
        FILEIO_API_KEY: undefined,
        FILEIO_CONNECT_TIMEOUT: "10 minutes",
        ...(way === "https"
          ? { FILEIO_BASE_URL: `https://${at}` }
          : { FILEIO_BASE_URL: "https://host.invalid", FILEIO_PROXY: `http://${at}` })
      }
      const stopped = async (...args: ReadonlyArray<string>) => {
        const before = taken
        const { child, ended } = t.start([...args, "--json"], { env })
        await until(() => taken > before, "a connection")
        child.kill("SIGINT")
        const ran = await ended
        assert.strictEqual(ran.code, 130)
        return jsonLines(ran.stdout)
      }
      try {
        // A small file is read before there is a connection.
        assert.containSubset(await stopped("upload", write(t.room(), "small.txt", "small")), [
          { stored: "no", bytesDone: 0, message: "stopped before it was sent" }
        ])
        assert.containSubset(await stopped("download", "abcdefgh", "-o", t.room()), [
          { copy: "kept", message: "stopped before the request" }
        ])
      } finally {
        silent.close()
      }
    }
  )

  it("an upload from a pipe is streamed, and the known links are written", async () => {
    const room = t.room()
    const way = await gate(t.url(), {})
    const env = { FILEIO_BASE_URL: way.url }
    const { child, ended, stdout } = t.start(["upload", write(room, "first.txt", "1"), "-"], { env })
    child.stdin.write(new Uint8Array(3_000_000))
    // Standard input is still open: the received bytes were not collected first.
    await until(() => way.sent() > 3_000_000 && stdout().includes("\n"), "the bytes and the first link")
    child.kill("SIGINT")
    const ran = await ended
    way.close()
    assert.strictEqual(ran.code, 130)
    assert.match(ran.stdout, /^http\S+\n$/)
    assert.include(ran.stderr, "upload -: stopped after 3.0 MB")
  })

  it("the link of a stored file is written, whatever else is under way, and comes before it in the order", async () => {
    const room = t.room()
    // The deletion token is kept only after the signal.
    const preload = write(
      room,
      "slow.mjs",
      `import fs from "node:fs"
      import { syncBuiltinESMExports } from "node:module"
      const { writeFile } = fs
      fs.writeFile = (path, ...rest) => {
        if (!/token-[^/]*$/.test(String(path))) return writeFile(path, ...rest)
        process.stderr.write("keeping")
        process.once("SIGINT", () => setImmediate(() => writeFile(path, ...rest)))
      }
      syncBuiltinESMExports()`
    )
    const env = { FILEIO_API_KEY: undefined, NODE_OPTIONS: `--import file://${preload}` }
    const { child, ended, stderr } = t.start(["upload", "-", write(room, "second.txt", "2")], { env })
    child.stdin.write("1")
    await until(() => stderr().includes("keeping"), "the deletion token")
    child.kill("SIGINT")
    const ran = await ended
    assert.strictEqual(ran.code, 130)
    const [link = "none"] = ran.stdout.split("\n")
    assert.strictEqual((await t.run(["download", link, "-o", "-"])).stdout, "2", ran.stderr)
    assert.match(ran.stderr, /upload -: stopped/)
  })

  it("a download ends at once, names its part, and resumes when it is run again", async () => {
    const room = t.room()
    const content = new Uint8Array(6_000_000).map((_, index) => index * 31)
    const [link] = await t.lines(["upload", write(t.room(), "big.bin", content)])
    const way = await gate(t.url(), { down: 2_500_000 })
    const key = link!.slice(link!.lastIndexOf("/") + 1)
    const { child, ended } = t.start(["download", `${way.url}/${key}`, "-o", room])
    const part = () => Fs.readdirSync(room).find((name) => name.endsWith(".part"))
    await until(() => part() !== undefined && Fs.statSync(join(room, part()!)).size > 1_000_000, "the part")
    const began = performance.now()
    child.kill("SIGINT")
    // As from timeout or npx.
    child.kill("SIGTERM")
    const ran = await ended
    // Without the signal it would go on.
    assert.isBelow(performance.now() - began, 20_000)
    // Either may come first.
    assert.include([130, 143], ran.code)
    assert.strictEqual(ran.stdout, "")
    assert.include(ran.stderr, join(room, part()!))
    assert.include(ran.stderr, "resume soon: fileio download")
    way.close()

    const again = await t.lines(["download", key, "-o", room, "--resume"])
    assert.deepStrictEqual(again, [join(room, "big.bin")])
    assert.isTrue(Fs.readFileSync(again[0]!).equals(content))
    assert.deepStrictEqual(Fs.readdirSync(room), ["big.bin"])
  })

  it("--resume without a part makes no request", async () => {
    const [link] = await t.lines(["upload", write(t.room(), "whole.txt", "whole")])
    const refused = await t.run(["download", link!, "-o", t.room(), "--resume"])
    assertFails(refused, 8, "there is nothing to resume")
    assert.strictEqual((await t.run(["download", link!, "-o", "-"])).stdout, "whole")
  })
})

describe("pipes that close", () => {
  it("a list ends quietly, and an unread link is written to standard error", async () => {
    const list = t.start(["list", "--all"])
    list.child.stdout.destroy()
    const listed = await list.ended
    assert.deepStrictEqual([listed.code, listed.stderr], [0, ""])
    const upload = t.start(["upload", write(t.room(), "unread.txt", "u")])
    upload.child.stdout.destroy()
    const ran = await upload.ended
    assert.strictEqual(ran.code, 8)
    assert.match(ran.stderr, /The link: http\S+/)
  })
})

describe("await", () => {
  it("ends when the file was downloaded, and fails when it expired before", async () => {
    const room = t.room()
    const [link] = await t.lines(["upload", write(room, "awaited.txt", "a")])
    const { ended, stdout } = t.start(["await", link!, "--every", "1", "--json"])
    await until(() => stdout().includes("waiting"), "the first look")
    await t.run(["download", link!, "-o", "-"])
    const ran = await ended
    assert.strictEqual(ran.code, 0)
    const states = jsonLines(ran.stdout).map((line) => line.type === "state" ? line.state : line.type)
    // A look in the middle of the download shows one attempt more, and is another line.
    assert.deepStrictEqual([...new Set(states)], ["waiting", "downloaded"])
    assert.strictEqual(states.indexOf("downloaded"), states.length - 1)
    // The host keeps it, so that it is found however late the command starts.
    const [short] = await t.lines(["upload", write(room, "short.txt", "s"), "--expires", "2s", "--keep"])
    const expired = await t.run(["await", short!, "--every", "1s"])
    assert.deepStrictEqual([expired.code, expired.stdout], [3, "expired\n"])
    assert.include(expired.stderr, "it expired before it was taken")
    for (
      const [every, allowed] of [["soon", "Allowed: a time such as 30s"], ["500ms", "Allowed: at least 1s"]] as const
    ) {
      const refused = await t.run(["await", short!, "--every", every])
      assert.strictEqual(refused.code, 2)
      assert.include(refused.stderr, allowed)
    }
  })
})

describe("serve", () => {
  it("serves until it is stopped, and that is no failure", async () => {
    const { child, ended, stdout } = t.start(["serve", "--port", "0", "--json"])
    await until(() => stdout().includes("\n"), "the address")
    const [line] = jsonLines(stdout())
    assert(line?.type === "serving")
    const env = { FILEIO_BASE_URL: line.url, FILEIO_API_KEY: undefined }
    const [link] = await t.lines(["upload", write(t.room(), "s.txt", "served")], { env })
    assert.strictEqual((await t.run(["download", link!, "-o", "-"], { env })).stdout, "served")
    child.kill("SIGTERM")
    const ran = await ended
    assert.deepStrictEqual([ran.code, ran.stderr], [0, ""])
  })

  it("says when the port is taken", async () => {
    assertFails(await t.run(["serve", "--port", new URL(t.url()).port]), 8, "cannot listen", "--port")
  })

  // Linux says there of each new folder that it is not found, at which Node's recursive `mkdir` never ends.
  it.skipIf(!Fs.existsSync("/proc/self"))(
    "says which folder the system does not make, as the other commands do",
    async () => {
      const path = write(t.room(), "n.txt", "not lost")
      assertFails(await t.run(["serve", "--port", "0", "--data", "/proc/new"]), 8, "/proc/new", "it cannot be created")
      assertFails(
        await t.run(["config", "set", "expires", "1d"], { env: { FILEIO_CONFIG: "/proc/new/c.json" } }),
        8,
        "cannot write"
      )
      const env = { XDG_STATE_HOME: "/proc/new", FILEIO_API_KEY: undefined }
      const sent = await t.run(["upload", path], { env })
      assert.strictEqual(sent.code, 0)
      assertFails(await t.run(["download", sent.stdout.trim(), "-o", "/proc/new/"]), 8, "the folder does not exist")
      assert.strictEqual((await t.run(["download", sent.stdout.trim(), "-o", "-"])).stdout, "not lost")
    }
  )
})
