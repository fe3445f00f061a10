/** Secrets of encrypted files, in every way that a command ends: they are in the link that an upload writes, and nowhere else. */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import { join } from "node:path"
import { fakeHost, gate, type Ran, setUp, until } from "./support.ts"

const t = setUp()
const MIB = 1024 * 1024
const IDENTITY = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"
const PASSPHRASE = "vier-geheime-Wörter-hier"
const SECRET = /AGE-SECRET-KEY-1[A-Z0-9]|vier-geheime/

/** A folder with a large file, and the environment of commands whose state is in that folder. */
const setting = () => {
  const room = t.room()
  const source = join(room, "plan.bin")
  Fs.writeFileSync(source, new Uint8Array(8 * MIB).map((_, i) => i * 31 >> 3))
  for (const name of ["state", "inbox"]) Fs.mkdirSync(join(room, name))
  Fs.writeFileSync(join(room, "identity.txt"), IDENTITY)
  Fs.writeFileSync(join(room, "passphrase.txt"), PASSPHRASE)
  const env = {
    XDG_STATE_HOME: join(room, "state"),
    FILEIO_CONFIG: join(room, "state", "config.json"),
    FILEIO_PASSPHRASE: PASSPHRASE
  }
  return { room, source, inbox: join(room, "inbox"), env }
}

/** Everything that a command leaves for others to see, but the link on its standard output. */
const assertSilent = (room: string, ran: Ran, allowed?: string) => {
  const stdout = allowed === undefined ? ran.stdout : ran.stdout.replace(allowed, "")
  assert.notMatch(stdout, SECRET)
  assert.notMatch(ran.stderr, SECRET)
  for (const folder of ["state", "inbox"]) {
    for (const name of Fs.readdirSync(join(room, folder), { recursive: true, encoding: "utf8" })) {
      const path = join(room, folder, name)
      if (Fs.statSync(path).isFile()) assert.notMatch(name + Fs.readFileSync(path, "latin1"), SECRET)
    }
  }
}

/** The arguments and the title of a process, as others can see them. */
const assertNotListed = (pid: number | undefined) => {
  if (Fs.existsSync("/proc/self/cmdline")) assert.notMatch(Fs.readFileSync(`/proc/${pid}/cmdline`, "utf8"), SECRET)
}

const linkOf = (stdout: string) => /http\S+?#age=[^\s"]+/.exec(stdout)![0]

describe.concurrent("the secret of an encrypted file", () => {
  for (const flags of [["--encrypt"], ["--passphrase"]]) {
    it(`is in the link of an upload alone: ${flags.join(" ")}`, async () => {
      const { env, inbox, room, source } = setting()
      const sent = await t.run(["upload", source, ...flags, "--json", "--verbose"], { env })
      assert.strictEqual(sent.code, 0, sent.stderr)
      const link = linkOf(sent.stdout)
      assertSilent(room, sent, link)
      const got = await t.run(["download", link, "-o", inbox, "--json", "--verbose"], { env })
      assert.strictEqual(got.code, 0, got.stderr)
      assertSilent(room, got)
      for (const args of [["download", link, "-o", inbox], ["delete", link], ["update", link, "--expires", "1d"]]) {
        const gone = await t.run([...args, "--json", "--verbose"], { env })
        assert.notStrictEqual(gone.code, 0)
        assertSilent(room, gone)
      }
    })
  }

  it("is in nothing that a mistyped command writes", async () => {
    const { env, inbox, room, source } = setting()
    const link = `${t.url()}/abcdefghijkl#age=${IDENTITY}&name=plan.bin`
    const mistyped = [
      [link],
      ["me", link],
      ["list", link],
      ["serve", link],
      ["upload", link],
      ["upload", IDENTITY],
      ["upload", source, "--recipient", IDENTITY],
      ["upload", source, "--recipient", link],
      ["upload", source, "--expires", link],
      ["upload", source, "--base-url", link],
      ["upload", source, "--cacert", link],
      ["upload", source, "--tar", link],
      ["upload", source, "--passphrase-file", link],
      ["download", link, link],
      ["download", "-o", link, "abcdefghijkl"],
      ["download", link, "-o", link],
      ["download", link, "--identity", IDENTITY],
      ["download", link, "--identity", link],
      ["update", "abcdefghijkl", "--expires", link],
      ["update", "abcdefghijkl", "--file", link],
      ["config", "set", link],
      ["config", "set", "encrypt", link],
      ["config", "set", "base-url", link],
      ["config", "unset", link],
      [`--${link}`],
      ["upload", `--encrypt=${link}`, source]
    ]
    await Promise.all(mistyped.map(async (args, index) => {
      const ran = await t.run([...args, index % 2 === 0 ? "--json" : "--verbose"], { env })
      assert.notStrictEqual(ran.code, 0, args.join(" "))
      assertSilent(room, ran)
    }))
    assert.deepStrictEqual(Fs.readdirSync(inbox), [])
  })

  it("is in nothing that an upload leaves that fails, or is killed", async () => {
    const { env, room, source } = setting()
    const host = await fakeHost((request, response) => {
      request.resume()
      request.on("end", () => response.writeHead(500, { "content-type": "application/json" }).end("{}"))
    })
    const slow = await gate(t.url(), { up: 2 * MIB })
    try {
      for (const flags of [["--encrypt"], ["--passphrase-file", join(room, "passphrase.txt")]]) {
        for (const url of [host.url, "http://127.0.0.1:9"]) {
          const args = ["upload", source, ...flags, "--json", "--verbose", "--retries", "0"]
          const ran = await t.run(args, { env: { ...env, FILEIO_BASE_URL: url } })
          assert.notStrictEqual(ran.code, 0)
          assertSilent(room, ran)
        }
        const before = slow.sent()
        const running = t.start(["upload", source, ...flags, "--json", "--verbose"], {
          env: { ...env, FILEIO_BASE_URL: slow.url }
        })
        await until(() => slow.sent() >= before + MIB, "a part of the upload")
        assertNotListed(running.child.pid)
        running.child.kill("SIGKILL")
        assertSilent(room, await running.ended)
      }
    } finally {
      host.close()
      slow.close()
    }
  })

  it("is in nothing that a download leaves that fails, is stopped, or is killed", async () => {
    const { env, inbox, room, source } = setting()
    const sent = await t.run(["upload", source, "--encrypt", "--json"], { env })
    const link = linkOf(sent.stdout)
    const slow = await gate(t.url(), { down: MIB / 2 })
    const own = new URL(link)
    const through = `${slow.url}${own.pathname}${own.hash}`
    const wrong = link.replace(/AGE-SECRET-KEY-1[A-Z0-9]+/, IDENTITY)
    const part = () => Fs.readdirSync(inbox).some((name) => name.endsWith(".part"))
    try {
      for (const signal of ["SIGINT", "SIGKILL"] as const) {
        const before = slow.sent()
        const running = t.start(["download", through, "-o", inbox, "--json", "--verbose"], {
          env: { ...env, FILEIO_BASE_URL: slow.url }
        })
        await until(() => slow.sent() > before && part(), "a part of the download")
        assertNotListed(running.child.pid)
        running.child.kill(signal)
        assertSilent(room, await running.ended)
      }
      const failing = [
        [link.replace(own.pathname, "/abcdefghijkl")],
        [`${link.split("&")[0]}Q`],
        [wrong],
        [own.origin + own.pathname, "--identity", join(room, "identity.txt")]
      ]
      for (const args of failing) {
        const ran = await t.run(["download", ...args, "-o", inbox, "--json", "--verbose"], { env })
        assert.notStrictEqual(ran.code, 0)
        assertSilent(room, ran)
      }
    } finally {
      slow.close()
    }
  })
})
