import { assert, describe, it } from "@effect/vitest"
import { Redacted, Result } from "effect"
import { AgeKey } from "../src/index.ts"

const IDENTITY = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40Q2P2LM0"
const POST_QUANTUM = "AGE-SECRET-KEY-PQ-1HZLGZUPT4ETPKDEV8HSGFDCYZ4E522W0A7PU2LHT8EH9W6YLNC3SW78XKG"
const RECIPIENT = "age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4q47ryef"

const failure = <A>(result: Result.Result<A, string>) =>
  Result.isFailure(result) ? result.failure : assert.fail("it was taken")

describe("AgeKey", () => {
  it("takes public and secret keys, in either case and with blanks around", () => {
    for (const form of [RECIPIENT, ` ${RECIPIENT}\n`, RECIPIENT.toUpperCase()]) {
      assert.strictEqual(Result.getOrThrow(AgeKey.parseRecipient(form)), RECIPIENT)
    }
    for (const form of [IDENTITY, POST_QUANTUM, ` ${IDENTITY.toLowerCase()} `]) {
      assert.strictEqual(Redacted.value(Result.getOrThrow(AgeKey.parseIdentity(form))), form.trim().toUpperCase())
    }
    assert.isFalse(AgeKey.isPostQuantum(RECIPIENT))
    assert.isTrue(AgeKey.isPostQuantum("age1pq1qqqq"))
    assert.isTrue(AgeKey.isPostQuantum("age1tagpq1qqqq"))
  })

  it("finds any character that is missing, changed, swapped or too many, and does not repeat a secret", () => {
    for (let at = 0; at < IDENTITY.length; at++) {
      const other = IDENTITY[at] === "Q" ? "P" : "Q"
      const changes = [
        IDENTITY.slice(0, at) + IDENTITY.slice(at + 1),
        IDENTITY.slice(0, at) + other + IDENTITY.slice(at + 1),
        IDENTITY.slice(0, at) + other + IDENTITY.slice(at)
      ]
      for (const text of changes) assert.notInclude(failure(AgeKey.parseIdentity(text)), text.slice(-20))
    }
    assert.match(failure(AgeKey.parseIdentity(IDENTITY.slice(0, -1))), /cut or mistyped/)
    assert.match(failure(AgeKey.parseIdentity(RECIPIENT)), /public key/)
    assert.match(failure(AgeKey.parseRecipient(IDENTITY)), /secret key/)
    assert.match(failure(AgeKey.parseRecipient("ssh-ed25519 AAAA")), /SSH key/)
    assert.match(failure(AgeKey.parseIdentity("aGe-secret-key-1egtz")), /mistyped/)
  })

  it("reads a file of identities as age-keygen writes it", () => {
    const read = AgeKey.parseIdentityFile(
      `# created: 2026\n# public key: ${RECIPIENT}\n${IDENTITY}\r\n\n${POST_QUANTUM}`
    )
    assert.deepStrictEqual(Result.getOrThrow(read).map(Redacted.value), [IDENTITY, POST_QUANTUM])
    const wrong = failure(AgeKey.parseIdentityFile(`${IDENTITY}\n${IDENTITY.slice(0, -4)}`))
    assert.match(wrong, /^line 2: /)
    assert.notInclude(wrong, "EGTZ")
    assert.match(failure(AgeKey.parseIdentityFile("# nothing\n")), /no secret key/)
    assert.match(failure(AgeKey.parseIdentityFile("age-encryption.org/v1\n-> scrypt")), /encrypted itself/)
  })

  it("takes only the one form of a key: the bits that fill up its last character are 0", () => {
    // The same keys with one of these bits set, and a checksum that fits.
    const recipient = "age1xmwwc06ly3ee5rytxm9mflaz2u56jjj36s0mypdrwsvlul66mv4pggh3ym"
    const identity = "AGE-SECRET-KEY-1EGTZVFFV20835NWYV6270LXYVK2VKNX2MMDKWYKLMGR48UAWX40PHH72XA"
    assert.match(failure(AgeKey.parseRecipient(recipient)), /mistyped/)
    assert.match(failure(AgeKey.parseIdentity(identity)), /mistyped/)
  })

  it("converts keys of X25519 to bytes and back, and no others", () => {
    for (
      const bytes of [
        new Uint8Array(32),
        new Uint8Array(32).fill(255),
        Uint8Array.from({ length: 32 }, (_, i) => i)
      ]
    ) {
      const [identity, recipient] = [Redacted.value(AgeKey.identityOf(bytes)), AgeKey.recipientOf(bytes)]
      assert.strictEqual(Redacted.value(Result.getOrThrow(AgeKey.parseIdentity(identity))), identity)
      assert.strictEqual(Result.getOrThrow(AgeKey.parseRecipient(recipient)), recipient)
      assert.deepStrictEqual([AgeKey.toX25519(identity), AgeKey.toX25519(recipient)], [bytes, bytes])
    }
    assert.strictEqual(AgeKey.recipientOf(AgeKey.toX25519(RECIPIENT)!), RECIPIENT)
    assert.strictEqual(Redacted.value(AgeKey.identityOf(AgeKey.toX25519(IDENTITY)!)), IDENTITY)
    for (const other of [POST_QUANTUM, RECIPIENT.slice(0, -1), ""]) assert.isUndefined(AgeKey.toX25519(other))
  })

  it("keeps what it has read out of texts", () => {
    const identity = Result.getOrThrow(AgeKey.parseIdentity(IDENTITY))
    assert.notInclude(`${String(identity)} ${JSON.stringify({ identity })}`, "EGTZ")
  })
})
