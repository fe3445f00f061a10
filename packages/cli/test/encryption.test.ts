import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import { join } from "node:path"
import { lines as qrLines } from "../src/internal/qr.ts"
import { fakeHost, hasPty, jsonLines, setUp } from "./support.ts"

const t = setUp()

const IDENTITY = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"
const OTHER = "AGE-SECRET-KEY-PQ-1HZLGZUPT4ETPKDEV8HSGFDCYZ4E522W0A7PU2LHT8EH9W6YLNC3SW78XKG"
const RECIPIENT = "age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef"
const SECRET = /AGE-SECRET-KEY-1[A-Z0-9]/

const source = (room: string, content = "for you alone") => {
  const path = join(room, "plan.txt")
  Fs.writeFileSync(path, content)
  return path
}

describe.concurrent("fileio upload --encrypt and fileio download", () => {
  it("need nothing but the link, which has the secret and the name", async () => {
    const room = t.room()
    const [link] = await t.lines(["upload", source(room), "--encrypt"])
    assert.match(link!, /^http:\/\/[^#]+#age=AGE-SECRET-KEY-1[A-Z0-9]+&name=plan\.txt$/)
    const inbox = join(room, "inbox")
    Fs.mkdirSync(inbox)
    const [path] = await t.lines(["download", link!, "-o", inbox])
    assert.strictEqual(path, join(inbox, "plan.txt"))
    assert.strictEqual(Fs.readFileSync(path!, "utf8"), "for you alone")
    const again = await t.run(["download", link!, "-o", inbox, "--json"])
    assert.strictEqual(again.code, 3)
    assert.notMatch(again.stdout + again.stderr, SECRET)
  })

  it("write the link once, in the JSON of the result, and take it from standard input", async () => {
    const room = t.room()
    const ran = await t.run(["upload", source(room), "--encrypt", "--json", "--verbose"])
    const [line, ...rest] = jsonLines(ran.stdout)
    assert(line?.type === "uploaded")
    assert.deepStrictEqual(rest, [])
    assert.strictEqual(ran.stdout.split("AGE-SECRET-KEY-1").length, 2)
    assert.notMatch(ran.stderr, SECRET)
    const received = await t.run(["download", "-", "-o", "-"], { stdin: `${line.link}\n` })
    assert.strictEqual(received.stdout, "for you alone")
  })

  it("do so for a folder, and by default where the settings say so", async () => {
    const room = t.room()
    Fs.mkdirSync(join(room, "photos"))
    source(join(room, "photos"))
    const env = { FILEIO_CONFIG: join(room, "config.json") }
    await t.run(["config", "set", "encrypt", "link"], { env })
    assert.strictEqual((await t.run(["config", "set", "encrypt", "yes"], { env })).code, 2)
    const [link] = await t.lines(["upload", "--tar", join(room, "photos")], { env })
    assert.match(link!, /&name=photos\.tar$/)
    const tar = await t.run(["download", link!, "-o", "-"])
    assert.include(spawnSync("tar", ["t"], { input: tar.bytes, encoding: "utf8" }).stdout, "photos/plan.txt")
    const [plain] = await t.lines(["upload", source(room), "--no-encrypt"], { env })
    assert.notInclude(plain!, "#")
    assert.include((await t.run(["config"], { env })).stdout, "encrypt")
    await t.run(["config", "unset", "encrypt"], { env })
    assert.notInclude((await t.lines(["upload", source(room)], { env }))[0]!, "#")
  })

  it("go by the identity file of a recipient, and by a passphrase from a file or a variable", async () => {
    const room = t.room()
    const keys = join(room, "keys.txt")
    Fs.writeFileSync(keys, `# created: today\n# public key: ${RECIPIENT}\n${OTHER}\n${IDENTITY}\n`)
    const [link] = await t.lines(["upload", source(room), "--recipient", RECIPIENT, "--name-at-host"])
    assert.match(link!, /#age=identity$/)
    const unasked = await t.run(["download", link!])
    assert.strictEqual(unasked.code, 2)
    assert.match(unasked.stderr, /--identity.*\n.*still/)
    const [path] = await t.lines(["download", link!, "--identity", keys, "-o", `${room}/`, "--number"])
    assert.strictEqual(path, join(room, "plan (1).txt"))
    const [again] = await t.lines(["upload", source(room), "--recipient", RECIPIENT])
    const piped = await t.run(["download", again!, "-i", "-", "-o", "-"], { stdin: Fs.readFileSync(keys, "utf8") })
    assert.strictEqual(piped.stdout, "for you alone", piped.stderr)
    assert.match((await t.run(["download", "-", "-i", "-"], { stdin: again! })).stderr, /read only once/)

    const file = join(room, "passphrase.txt")
    Fs.writeFileSync(file, "vier Wörter reichen hier\n")
    const env = { FILEIO_PASSPHRASE: "vier Wörter reichen hier" }
    const [shared] = await t.lines(["upload", source(room), "--passphrase-file", file])
    assert.match(shared!, /#age=passphrase&name=plan\.txt$/)
    assert.strictEqual((await t.run(["download", shared!, "-o", "-"])).code, 2)
    const several = { FILEIO_PASSPHRASE: `${env.FILEIO_PASSPHRASE}\nand more\n` }
    const refused = await t.run(["download", shared!, "-o", "-"], { env: several })
    assert.strictEqual(refused.code, 2)
    assert.match(refused.stderr, /FILEIO_PASSPHRASE is not one line/)
    const withLineEnd = { FILEIO_PASSPHRASE: `${env.FILEIO_PASSPHRASE}\r\n` }
    assert.strictEqual((await t.run(["download", shared!, "-o", "-"], { env: withLineEnd })).stdout, "for you alone")
  })

  it("refuse what excludes itself or is no key, without a request and without repeating a secret", async () => {
    const room = t.room()
    const path = source(room)
    const sshKey = join(room, "id_ed25519")
    Fs.writeFileSync(sshKey, "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n-----END OPENSSH PRIVATE KEY-----\n")
    const wrong: ReadonlyArray<readonly [ReadonlyArray<string>, RegExp]> = [
      [["upload", path, "--encrypt", "--recipient", RECIPIENT], /exclude each other/],
      [["upload", path, "--recipient", RECIPIENT.slice(0, -2)], /number 1\): it is cut or mistyped/],
      [["upload", path, "--recipient", IDENTITY], /it is a secret key/],
      [["upload", path, "--recipient", "ssh-ed25519 AAAAC3Nza"], /it is an SSH key/],
      [["download", "abcdefghijkl", "-i", sshKey], /it is an SSH key, .* with the age program/],
      [["upload", path, "--passphrase"], /no terminal to ask on/],
      [["download", "abcdefghijkl", "-i", path], /identity file .* line 1/],
      [["download", `abcdefghijkl#age=${IDENTITY.slice(0, -3)}`], /cut or mistyped/],
      [["update", `abcdefghijkl#age=${IDENTITY}`, "--file", path], /would not be encrypted/]
    ]
    for (const [args, message] of wrong) {
      const ran = await t.run(args)
      assert.strictEqual(ran.code, 2, args.join(" "))
      assert.match(ran.stderr, message)
      assert.notMatch(ran.stdout + ran.stderr, SECRET)
    }
  })

  it("keep what cannot be decrypted, and say where", async () => {
    const room = t.room()
    const [link] = await t.lines(["upload", source(room), "--encrypt"])
    const other = link!.replace(/AGE-SECRET-KEY-1[A-Z0-9]+/, IDENTITY)
    const inbox = join(room, "inbox")
    Fs.mkdirSync(inbox)
    const ran = await t.run(["download", other, "-o", inbox])
    assert.strictEqual(ran.code, 9)
    const kept = join(inbox, "plan.txt.age")
    assert.include(ran.stderr, kept)
    assert.notMatch(ran.stderr, SECRET)
    assert.deepStrictEqual(Fs.readdirSync(inbox), ["plan.txt.age"])
  })

  it("stop a large download at the header for another key, and continue it with the right one", async () => {
    const room = t.room()
    const path = source(room, "0123456789abcdef".repeat(24 * 65_536))
    const [link] = await t.lines(["upload", path, "--encrypt"])
    const inbox = join(room, "inbox")
    Fs.mkdirSync(inbox)
    const other = link!.replace(/AGE-SECRET-KEY-1[A-Z0-9]+/, IDENTITY)
    const ran = await t.run(["download", other, "-o", inbox])
    assert.strictEqual(ran.code, 9, ran.stderr)
    assert.include(ran.stderr, "Give the right key with the same command")
    const part = Fs.readdirSync(inbox).find((name) => name.endsWith(".part"))!
    assert.isBelow(Fs.statSync(join(inbox, part)).size, 24 * 1024 * 1024)
    const [received] = await t.lines(["download", link!, "-o", inbox])
    assert.isTrue(Fs.readFileSync(received!).equals(Fs.readFileSync(path)))
    assert.deepStrictEqual(Fs.readdirSync(inbox), ["plan.txt"])
  })

  it("keep the secret of a link out of the arguments that others can see, and out of what is said when stopped", async () => {
    let asked = () => {}
    const request = new Promise<void>((resolve) => {
      asked = resolve
    })
    const host = await fakeHost(() => asked())
    const room = t.room()
    try {
      const { child, ended } = t.start(["download", `${host.url}/abcdefghijkl#age=${IDENTITY}`, "-o", room, "--json"])
      await request
      if (Fs.existsSync("/proc/self/cmdline")) {
        assert.notMatch(Fs.readFileSync(`/proc/${child.pid}/cmdline`, "utf8"), SECRET)
      }
      child.kill("SIGINT")
      const ran = await ended
      assert.strictEqual(ran.code, 130)
      assert.include(ran.stdout + ran.stderr, "abcdefghijkl#…")
      assert.notMatch(ran.stdout + ran.stderr, SECRET)
    } finally {
      host.close()
    }
  })

  it("advise to send again what was stopped with the same encryption, never without", async () => {
    const keys = join(t.room(), "passphrase.txt")
    Fs.writeFileSync(keys, "vier Wörter reichen hier\n")
    const flags = [["--encrypt"], ["--recipient", RECIPIENT, "--name-at-host"], ["--passphrase-file", keys], []]
    for (const flag of flags) {
      let asked = () => {}
      const request = new Promise<void>((resolve) => {
        asked = resolve
      })
      const host = await fakeHost(() => asked())
      try {
        const path = source(t.room())
        const { child, ended } = t.start(["upload", path, ...flag, "--base-url", host.url])
        await request
        child.kill("SIGINT")
        const { code, stderr } = await ended
        assert.strictEqual(code, 130)
        if (flag.length > 0) assert.include(stderr, "An encrypted upload starts over")
        assert.include(stderr.replaceAll(/\s+/g, " "), [path, ...flag].join(" "))
      } finally {
        host.close()
      }
    }
  })

  it.runIf(hasPty)("ask for a passphrase twice before it encrypts, and once to decrypt", async () => {
    const room = t.room()
    const acts = [{ when: "Passphrase", type: "geheim und lang\r" }, { when: "Once more", type: "geheim und lang\r" }]
    const sent = await t.pty(["upload", source(room), "--passphrase"], { acts })
    assert.strictEqual(sent.code, 0)
    assert.notInclude(sent.shown, "geheim")
    const link = /http:\/\/\S+#age=passphrase&name=plan\.txt/.exec(sent.shown)![0]
    const got = await t.pty(["download", link, "-o", `${room}/`], { acts: acts.slice(0, 1) })
    assert.strictEqual(got.code, 0)
    assert.strictEqual(Fs.readFileSync(join(room, "plan (1).txt"), "utf8"), "for you alone")
  })

  it("draw the whole link as a QR code, secret and all", async () => {
    const ran = await t.run(["upload", source(t.room()), "--encrypt", "--qr"])
    const link = ran.stdout.trim()
    assert.match(link, SECRET)
    assert.include(ran.stderr, qrLines(link, false))
  })
})
