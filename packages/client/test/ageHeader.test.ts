/** Our headers beside those of the `age-encryption` library, which is an independent implementation of the format. */
import { afterEach, assert, describe, it, vi } from "@effect/vitest"
import * as Age from "age-encryption"
import { Effect, Redacted } from "effect"
import { Fault } from "../src/internal/encryption/fault.ts"
import * as Header from "../src/internal/encryption/header.ts"
import * as NewHeader from "../src/internal/encryption/newHeader.ts"
import { portable } from "../src/Platform.ts"

const cipher = await Effect.runPromise(portable.cipher)
const scrypt: Header.Scrypt = (passphrase, salt, logN) => Effect.runPromise(portable.scrypt(passphrase, salt, logN))
const noSecrets: Header.Secrets = { identities: [], passphrase: undefined }
const open = (header: Uint8Array, secrets: Partial<Header.Secrets>) =>
  Header.openHeader(header, { ...noSecrets, ...secrets }, scrypt, cipher)

/** The header of a file of the library. */
const libraryHeader = async (prepare: (encrypter: Age.Encrypter) => void): Promise<Uint8Array> => {
  const encrypter = new Age.Encrypter()
  prepare(encrypter)
  return (await encrypter.encrypt(new Uint8Array(0))).slice(0, -32)
}

const libraryKey = (header: Uint8Array, identity: string): Promise<Uint8Array> => {
  const decrypter = new Age.Decrypter()
  decrypter.addIdentity(identity)
  return decrypter.decryptHeader(header)
}

afterEach(() => vi.restoreAllMocks())

describe.each(["with the platform's X25519", "without"])("the header of an age file, %s", (which) => {
  const prepare = () => {
    if (which === "without") vi.spyOn(crypto, "subtle", "get").mockReturnValue(undefined as never)
  }

  it("made here opens with the library, and the other way round", async () => {
    const keys = await Promise.all([1, 2, 3].map(() => NewHeader.generateIdentity()))
    for (const { identity, recipient } of keys) {
      assert.strictEqual(await Age.identityToRecipient(Redacted.value(identity)), recipient)
    }
    const recipients = keys.map(({ recipient }) => recipient)
    const theirs = await libraryHeader((encrypter) => {
      for (const recipient of recipients) encrypter.addRecipient(recipient)
    })
    prepare()
    const made = await NewHeader.forRecipients(recipients, cipher)
    const other = Redacted.value((await NewHeader.generateIdentity()).identity)
    for (const { identity } of keys) {
      const found = await open(theirs, { identities: [other, Redacted.value(identity)] })
      assert.instanceOf(found, Uint8Array)
      assert.deepStrictEqual(await open(made.header, { identities: [Redacted.value(identity)] }), made.fileKey)
    }
    const wrong = await open(made.header, { identities: [other] })
    assert.isTrue(wrong instanceof Fault && wrong.problem === "otherKey" && wrong.detail === undefined)
    vi.restoreAllMocks()
    for (const { identity } of keys) {
      assert.deepStrictEqual(await libraryKey(made.header, Redacted.value(identity)), made.fileKey)
    }
  })

  it("is refused when a character of it is another", async () => {
    const { identity, recipient } = await NewHeader.generateIdentity()
    prepare()
    const { header } = await NewHeader.forRecipients([recipient], cipher)
    for (let at = 0; at < header.length; at += which === "without" ? 7 : 1) {
      const changed = header.slice()
      changed[at]! ^= 1
      const found = await open(changed, { identities: [Redacted.value(identity)] })
      assert.instanceOf(found, Fault, `at ${at}`)
    }
  })
})

describe("the header of an age file", () => {
  it("for a passphrase opens with the library, and the other way round", async () => {
    const derived: Array<number> = []
    // The real work factor takes a second.
    const quick: Header.Scrypt = (passphrase, salt, logN) => {
      derived.push(logN)
      return scrypt(passphrase, salt, Math.min(logN, 4))
    }
    const theirs = await libraryHeader((encrypter) => {
      encrypter.setScryptWorkFactor(4)
      encrypter.setPassphrase("Grüße")
    })
    assert.instanceOf(await open(theirs, { passphrase: "Grüße" }), Uint8Array)
    const wrong = await open(theirs, { passphrase: "Gruesse" })
    assert.isTrue(wrong instanceof Fault && wrong.problem === "otherKey")
    const made = await NewHeader.forPassphrase("Grüße", quick, cipher)
    assert.deepStrictEqual(
      await Header.openHeader(made.header, { ...noSecrets, passphrase: "Grüße" }, quick, cipher),
      made.fileKey
    )
    assert.deepStrictEqual(derived, [18, 18])
    const needs = await open(made.header, {
      identities: [Redacted.value((await NewHeader.generateIdentity()).identity)]
    })
    assert.isTrue(needs instanceof Fault && needs.detail === "it needs a passphrase")
  })

  it("for a passphrase opens with each work factor that age opens, and says what a higher one takes", async () => {
    const derived: Array<number> = []
    const made = await NewHeader.forPassphrase("Grüße", (passphrase, salt) => scrypt(passphrase, salt, 4), cipher)
    const text = new TextDecoder().decode(made.header)
    const openAs = (logN: number, derive: Header.Scrypt) =>
      Header.openHeader(
        new TextEncoder().encode(text.replace(/^(-> scrypt \S+) 18$/m, `$1 ${logN}`)),
        { ...noSecrets, passphrase: "Grüße" },
        derive,
        cipher
      )
    const quick: Header.Scrypt = (passphrase, salt, logN) => {
      derived.push(logN)
      return scrypt(passphrase, salt, 4)
    }
    assert.deepStrictEqual(await openAs(18, quick), made.fileKey)
    for (const logN of [1, 20, 21, 22]) {
      // The key is found, so that it shows that the header was changed.
      assert.deepStrictEqual(await openAs(logN, quick), new Fault("changed", "in its header"))
    }
    assert.deepStrictEqual(derived, [18, 1, 20, 21, 22])
    for (const logN of [23, 99]) {
      const fault = await openAs(logN, quick)
      assert(fault instanceof Fault)
      assert.strictEqual(fault.problem, "workFactor")
      assert.strictEqual(fault.detail, `its work factor is ${logN}; allowed: up to 22, which takes 4 GiB of memory`)
    }
    assert.lengthOf(derived, 5)
  })

  it("of a stranger is malformed, whatever is in it", async () => {
    const { identity, recipient } = await NewHeader.generateIdentity()
    const text = new TextDecoder().decode((await NewHeader.forRecipients([recipient], cipher)).header)
    const [version, stanza, body, mac] = text.split("\n") as [string, string, string, string]
    for (
      const [what, lines] of Object.entries({
        "a long line": [version, stanza, "A".repeat(900_000), mac],
        "a long share": [version, `-> X25519 ${"A".repeat(900_000)}`, body, mac],
        "blanks in a line": [version, stanza, `${body.slice(0, 20)} ${body.slice(20)}`, mac],
        "padding": [version, stanza, `${body}=`, mac],
        "bits beyond the last byte": [version, stanza, `${body.slice(0, -1)}${body.endsWith("B") ? "C" : "B"}`, mac],
        "a length that no bytes have": [version, stanza, `${body}AA`, mac],
        "no last line": [version, stanza, body],
        "two last lines": [version, stanza, body, mac, mac],
        "an empty argument": [version, `${stanza} `, body, mac],
        "no share": [version, "-> X25519", body, mac],
        "many stanzas": [
          version,
          ...Array.from({ length: 3000 }, () => ["-> other", ""]).flat(),
          stanza,
          `${body}A`,
          mac
        ]
      })
    ) {
      const header = new TextEncoder().encode(`${lines.join("\n")}\n`)
      const found = await open(header, { identities: [Redacted.value(identity)] })
      assert.isTrue(found instanceof Fault && found.problem === "malformed", `${what}: ${JSON.stringify(found)}`)
      assert.match((found as Fault).detail!, /^(?:invalid |the last line)/, what)
    }
  })

  it("for post-quantum keys is that of the library", async () => {
    const identity = await Age.generateHybridIdentity()
    const { fileKey, header } = await NewHeader.forRecipients([await Age.identityToRecipient(identity)], cipher)
    assert.deepStrictEqual(await libraryKey(header, identity), fileKey)
    assert.deepStrictEqual(await open(header, { identities: [identity] }), fileKey)
    const other = await open(header, { identities: [await Age.generateHybridIdentity()] })
    assert.isTrue(other instanceof Fault && other.problem === "otherKey")
    const changed = header.slice()
    const at = header.length - 10
    // Another letter of Base64.
    changed[at] = changed[at] === 65 ? 66 : 65
    const fault = await open(changed, { identities: [identity] })
    assert.isTrue(fault instanceof Fault && fault.problem === "changed", String(fault))
  })
})
