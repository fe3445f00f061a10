/** Sources and destinations that are no regular files, and permissions of destinations. */
import { assert, describe, it } from "@effect/vitest"
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import * as Fs from "node:fs"
import { join } from "node:path"
import { setUp, until } from "./support.ts"

const t = setUp()
const CONTENT = "what goes through\n".repeat(50_000)

/** Runs a shell script, in which `$FILEIO` is the program. */
const shell = async (room: string, lines: string) => {
  const child = spawn("bash", ["-c", lines], {
    cwd: room,
    env: t.environment({ FILEIO: `${process.execPath} ${t.bin}` }),
    stdio: ["ignore", "pipe", "pipe"]
  })
  let stdout = ""
  let stderr = ""
  child.stdout.on("data", (chunk: Buffer) => stdout += chunk.toString())
  child.stderr.on("data", (chunk: Buffer) => stderr += chunk.toString())
  const [code] = await once(child, "close")
  return { code: code as number | null, stdout, stderr }
}

const contentOf = async (link: string) => (await t.run(["download", link, "-o", "-"])).stdout

const makePipe = (room: string) => {
  const path = join(room, "pipe")
  execFileSync("mkfifo", [path])
  return path
}

const upload = async (room: string, content = CONTENT, ...flags: Array<string>) => {
  Fs.writeFileSync(join(room, "source.txt"), content)
  const [link] = await t.lines(["upload", join(room, "source.txt"), ...flags])
  return link!
}

describe("a source that is no regular file", () => {
  it("is streamed: what a shell makes of <(...), a pipe, /dev/stdin", async () => {
    const room = t.room()
    makePipe(room)
    Fs.writeFileSync(join(room, "content"), CONTENT)
    for (
      const line of [
        "$FILEIO upload <(cat content)",
        "(cat content > pipe) & $FILEIO upload pipe",
        "$FILEIO upload pipe & sleep 1; cat content > pipe; wait",
        "cat content | $FILEIO upload /dev/stdin",
        "$FILEIO upload /dev/stdin < content",
        "ln -s /dev/stdin in; cat content | $FILEIO upload in",
        "$FILEIO upload /dev/fd/7 7< content"
      ]
    ) {
      const { code, stderr, stdout } = await shell(room, line)
      assert.deepStrictEqual([code, stderr], [0, ""], line)
      assert.strictEqual(await contentOf(stdout.trim()), CONTENT, line)
    }
  })

  it.runIf(process.platform === "linux")(
    "is read to its end where its size says nothing, as in /proc and /sys",
    async () => {
      const files = ["/proc/version", "/proc/self/../cpuinfo", "/sys/kernel/mm/transparent_hugepage/enabled"]
      for (const file of files.filter((file) => Fs.existsSync(file))) {
        const [link] = await t.lines(["upload", file])
        assert.strictEqual((await contentOf(link!)).length, Fs.readFileSync(file).length, file)
      }
    }
  )

  it("is refused where it has no byte or is none that can be read", async () => {
    const room = t.room()
    Fs.writeFileSync(join(room, "empty"), "")
    for (const [line, says] of [["$FILEIO upload empty", /empty/], ["$FILEIO upload /dev/null", /no bytes/]] as const) {
      const { code, stderr, stdout } = await shell(room, line)
      assert.deepStrictEqual([code, stdout], [8, ""])
      assert.match(stderr, says)
    }
  })

  it("that grows is sent as it was with --snapshot, which the refusal names", async () => {
    const room = t.room()
    const grow = "(while echo more >> log; do sleep 0.01; done) & "
    Fs.writeFileSync(join(room, "log"), CONTENT)
    // On a busy machine nothing may be appended during the first upload.
    const untilRefused = "for n in $(seq 50); do $FILEIO upload log > /dev/null || break; done"
    const lines = `${grow} trap "kill $!" EXIT; ${untilRefused}; $FILEIO upload log --snapshot`
    const { stderr, stdout } = await shell(room, lines)
    assert.match(stderr, /became longer while it was sent\n {2}Nothing was stored on the host\. Add --snapshot/)
    assert.isTrue((await contentOf(stdout.trim())).startsWith(CONTENT))
  })

  it("is the new content of a file, once", async () => {
    const room = t.room()
    Fs.writeFileSync(join(room, "content"), CONTENT)
    const key = (await upload(room, "old", "--max-downloads", "9")).split("/").at(-1)!
    for (
      const [i, line] of [
        `cat content | $FILEIO replace ${key} --file - --max-downloads 9`,
        `$FILEIO update ${key} --file <(cat content; echo 2)`,
        `cat content | $FILEIO update ${key} --file /dev/stdin`
      ].entries()
    ) {
      const { code, stderr } = await shell(room, line)
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.strictEqual(await contentOf(key), i === 1 ? `${CONTENT}2\n` : CONTENT)
    }
  })

  it("does not block the program: Ctrl-C ends it while nobody writes", async () => {
    const room = t.room()
    const pipe = makePipe(room)
    const { child, ended, stderr } = t.start(["upload", pipe, "--verbose"])
    // A pipe has a reader as soon as it can be opened for writing without blocking.
    await until(() => {
      try {
        Fs.closeSync(Fs.openSync(pipe, Fs.constants.O_WRONLY | Fs.constants.O_NONBLOCK))
        return true
      } catch {
        return false
      }
    }, "the pipe to be read")
    child.kill("SIGINT")
    const { code } = await ended
    // The bytes written before the stop may be its last ones.
    assert.include([130, 8], code, stderr())
  })
})

describe("a destination that is no regular file", () => {
  it("gets the bytes as they arrive, and stays what it is", async () => {
    const room = t.room()
    const pipe = makePipe(room)
    const link = await upload(room, CONTENT, "--max-downloads", "9")
    for (const flag of ["", "--overwrite"]) {
      const { code, stderr, stdout } = await shell(
        room,
        `cat pipe > got & $FILEIO download ${link} -o pipe ${flag}; wait`
      )
      assert.deepStrictEqual([code, stderr, stdout], [0, "", "pipe\n"])
      assert.strictEqual(Fs.readFileSync(join(room, "got"), "utf8"), CONTENT)
      assert.isTrue(Fs.lstatSync(pipe).isFIFO())
    }
    const lines = `
      mkdir dev; ln -s /dev/null dev/null; ln -s /dev/stdout dev/stdout
      $FILEIO download ${link} -o dev/null --overwrite
      $FILEIO download ${link} -o dev/stdout > direct; (echo first; $FILEIO download ${link} -o /dev/stdout; echo last) > all
      $FILEIO download ${link} -o >(cat > substituted) > name; while ! cmp -s source.txt substituted; do sleep 0.1; done
      echo before > added; $FILEIO download ${link} -o /dev/fd/7 7>> added`
    const { code, stderr } = await shell(room, lines)
    assert.deepStrictEqual([code, stderr], [0, ""])
    assert.isTrue(Fs.lstatSync(join(room, "dev", "null")).isSymbolicLink())
    assert.isTrue(Fs.lstatSync(join(room, "dev", "stdout")).isSymbolicLink())
    assert.strictEqual(Fs.readFileSync(join(room, "direct"), "utf8"), CONTENT)
    assert.strictEqual(Fs.readFileSync(join(room, "all"), "utf8"), `first\n${CONTENT}last\n`)
    assert.strictEqual(Fs.readFileSync(join(room, "added"), "utf8"), `before\n${CONTENT}`)
  })

  it("has no name, and uses up no copy that it cannot receive", async () => {
    const room = t.room()
    const pipe = makePipe(room)
    const link = await upload(room)
    assert.strictEqual((await t.run(["download", link, "-o", pipe, "--number"])).code, 2)
    // Nobody reads the pipe: no request is made, and Ctrl-C ends the program.
    const { child, ended } = t.start(["download", link, "-o", pipe, "--json"])
    await new Promise((resolve) => setTimeout(resolve, 1000))
    child.kill("SIGINT")
    // On a slow machine the signal arrives before the program listens to it.
    assert.include([130, null], (await ended).code)
    // A reader that closes loses the rest.
    const { code, stderr } = await shell(room, `head -c 10 pipe > got & $FILEIO download ${link} -o pipe`)
    assert.strictEqual(code, 9)
    assert.match(stderr, /pipe was closed after/)
  })

  it("has the permissions of the umask, once it is complete", async () => {
    const room = t.room()
    const link = await upload(room, "x", "--max-downloads", "9")
    for (const [umask, mode] of [["022", 0o644], ["077", 0o600], ["002", 0o664]] as const) {
      const { code } = await shell(room, `umask ${umask}; $FILEIO download ${link} -o ${umask}`)
      assert.strictEqual(code, 0)
      assert.strictEqual(Fs.statSync(join(room, umask)).mode & 0o777, mode)
    }
  })
})

describe.skipIf(process.platform === "win32")("a path of which the system does not say what it is", () => {
  it("cannot be read or written, which is no error of the program", async () => {
    const room = t.room()
    Fs.symlinkSync("loop", join(room, "loop"))
    for (
      const line of [
        "upload loop",
        "upload loop --tar",
        "download abcdefgh1234 -o loop",
        "download abcdefgh1234 -o loop/"
      ]
    ) {
      const { code, stderr } = await shell(room, `$FILEIO ${line}`)
      assert.strictEqual(code, 8, stderr)
      assert.match(stderr, /cannot (?:read|write) .*loop: /, line)
    }
  })
})

describe.skipIf(process.platform === "win32")("standard output that is a file", () => {
  // As on a full disk: the system writes what fits, and fails only when there is more.
  const FULL = "unset NODE_COMPILE_CACHE; ulimit -f 32;"
  const ROOM = 32 * 1024

  it.runIf(process.platform === "linux")("that cannot be synced, as in /proc, takes a download", async () => {
    const room = t.room()
    for (const output of ["-", "/dev/stdout"]) {
      const link = await upload(room, "a new name")
      assert.deepStrictEqual(
        await shell(room, `$FILEIO download ${link} -o ${output} > /proc/self/comm`),
        { code: 0, stdout: "", stderr: "" }
      )
    }
  })

  it("that takes only a part of a download fails, also if it is the last part", async () => {
    const room = t.room()
    for (const output of ["-", "/dev/stdout"]) {
      const link = await upload(room, "x".repeat(ROOM + 1))
      const { code, stderr } = await shell(room, `${FULL} $FILEIO download ${link} -o ${output} > taken`)
      assert.strictEqual(Fs.statSync(join(room, "taken")).size, ROOM)
      assert.strictEqual(code, 9)
      assert.match(stderr, /standard output failed after 32\.8 kB \(EFBIG\)/)
    }
  })

  it("that takes only a part of a link is not the only one that gets it", async () => {
    const room = t.room()
    Fs.writeFileSync(join(room, "source.txt"), CONTENT)
    Fs.writeFileSync(join(room, "taken"), "x".repeat(ROOM - 10))
    const { code, stderr } = await shell(room, `${FULL} $FILEIO upload source.txt --encrypt >> taken`)
    assert.strictEqual(code, 8)
    const [, link] = /The link: (\S+#age=\S+)/.exec(stderr)!
    assert.strictEqual(await contentOf(link!), CONTENT)
  })
})
