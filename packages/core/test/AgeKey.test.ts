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
    assert.match(failure(AgeKey.parseRecipient("ssh-ed25519 AAAA")), /age1/)
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

  it("keeps what it has read out of texts", () => {
    const identity = Result.getOrThrow(AgeKey.parseIdentity(IDENTITY))
    assert.notInclude(`${String(identity)} ${JSON.stringify({ identity })}`, "EGTZ")
  })
})
