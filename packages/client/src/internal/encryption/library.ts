/**
 * The header of an age file, with the `age-encryption` library: recipients, identities and passphrases. Loaded only when a file
 * is encrypted or decrypted.
 */
import { hkdf } from "@noble/hashes/hkdf.js"
import { sha256 } from "@noble/hashes/sha2.js"
import { Decrypter, Encrypter, generateIdentity, type Identity, identityToRecipient, Stanza } from "age-encryption"
import type { Cipher } from "../../Platform.ts"
import { concat } from "../shared/bytes.ts"
import { Fault } from "./fault.ts"

export { generateIdentity, identityToRecipient }

/** Derives 32 bytes from a passphrase by scrypt. */
export type Scrypt = (passphrase: string, salt: Uint8Array, logN: number) => Promise<Uint8Array>

/** Bytes of a file's key, of the nonce before its payload, and of a salt. */
export const KEY_BYTES = 16

/** Work factor of a passphrase, as in the age program: about a second. */
const LOG_N = 18
/** A higher one would need more than a gigabyte of memory. */
const MAX_LOG_N = 20

const encoder = new TextEncoder()
const SCRYPT_LABEL = encoder.encode("age-encryption.org/v1/scrypt")
const ZERO_NONCE = new Uint8Array(12)

const encodeBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes)).replace(/=+$/, "")

const decodeBase64 = (text: string): Uint8Array => {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  if (encodeBase64(bytes) !== text) throw new Error("not canonical")
  return bytes
}

export interface Made {
  readonly header: Uint8Array
  readonly fileKey: Uint8Array
}

const make = async (encrypter: Encrypter): Promise<Made> => {
  let fileKey: Uint8Array | undefined
  encrypter.addRecipient({
    wrapFileKey: (key) => {
      fileKey = key.slice()
      return []
    }
  })
  // The header of an empty file, whose nonce and payload are not used.
  const whole = await encrypter.encrypt(new Uint8Array(0))
  return { header: whole.slice(0, whole.length - KEY_BYTES - 16), fileKey: fileKey! }
}

/** Makes the header of a file that each of the recipients can decrypt. */
export const forRecipients = (recipients: ReadonlyArray<string>): Promise<Made> => {
  const encrypter = new Encrypter()
  for (const recipient of recipients) encrypter.addRecipient(recipient)
  return make(encrypter)
}

/** Makes the header of a file for a passphrase. The library's own way would block the event loop for a second. */
export const forPassphrase = (
  passphrase: string,
  salt: Uint8Array,
  scrypt: Scrypt,
  cipher: Cipher
): Promise<Made> => {
  const encrypter = new Encrypter()
  encrypter.addRecipient({
    wrapFileKey: async (fileKey) => {
      const key = await scrypt(passphrase, concat([SCRYPT_LABEL, salt], SCRYPT_LABEL.length + salt.length), LOG_N)
      const body = new Uint8Array(fileKey.length + 16)
      cipher.seal(key, ZERO_NONCE, fileKey, body)
      return [new Stanza(["scrypt", encodeBase64(salt), String(LOG_N)], body)]
    }
  })
  return make(encrypter)
}

const passphraseIdentity = (passphrase: string, scrypt: Scrypt, cipher: Cipher): Identity => ({
  unwrapFileKey: async (stanzas) => {
    const [stanza] = stanzas
    if (stanza?.args[0] !== "scrypt") return null
    const [, saltText, logN] = stanza.args
    if (stanza.args.length !== 3 || stanza.body.length !== KEY_BYTES + 16 || !/^[1-9]\d?$/.test(logN!)) {
      throw new Error("invalid scrypt stanza")
    }
    if (Number(logN) > MAX_LOG_N) throw new Error("scrypt work factor is too high")
    const salt = decodeBase64(saltText!)
    if (salt.length !== KEY_BYTES) throw new Error("invalid scrypt stanza")
    const key = await scrypt(
      passphrase,
      concat([SCRYPT_LABEL, salt], SCRYPT_LABEL.length + KEY_BYTES),
      Number(logN)
    )
    const fileKey = new Uint8Array(KEY_BYTES)
    return cipher.open(key, ZERO_NONCE, stanza.body, fileKey) ? fileKey : null
  }
})

/** The keys and passphrase that may decrypt a file. */
export interface Secrets {
  readonly identities: ReadonlyArray<string>
  readonly passphrase: string | undefined
}

/** The end of a header; the library takes an invalid authentication code for a wrong one. */
const MAC_LINE = /(?:^|\n)--- [A-Za-z0-9+/]{43}\n$/

/** The library's message is safe to show: it contains no key. The part after a colon may be of the file. */
const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : "").split(/[:\n]/, 1)[0]!

/** Finds the key of a file in its header. */
export const openHeader = async (
  header: Uint8Array,
  secrets: Secrets,
  scrypt: Scrypt,
  cipher: Cipher
): Promise<Uint8Array | Fault> => {
  const decrypter = new Decrypter()
  let isForPassphrase = false
  decrypter.addIdentity({
    unwrapFileKey: (stanzas) => {
      isForPassphrase = stanzas.some(({ args }) => args[0] === "scrypt")
      // A file with a passphrase and other keys: a reader who knows the passphrase would have to trust the owners of the other
      // keys.
      if (isForPassphrase && stanzas.length > 1) throw new Error("a passphrase and other keys together")
      return null
    }
  })
  for (const identity of secrets.identities) decrypter.addIdentity(identity)
  if (secrets.passphrase !== undefined) {
    decrypter.addIdentity(passphraseIdentity(secrets.passphrase, scrypt, cipher))
  }
  if (!MAC_LINE.test(new TextDecoder("latin1").decode(header.subarray(-64)))) {
    return new Fault("malformed", "the last line of its header")
  }
  try {
    return await decrypter.decryptHeader(header)
  } catch (error) {
    const words = wordsOf(error)
    if (words.startsWith("invalid header HMAC")) return new Fault("changed", "in its header")
    if (!words.startsWith("no identity matched")) return new Fault("malformed", words)
    const isWrongKind = isForPassphrase ? secrets.passphrase === undefined : secrets.identities.length === 0
    return new Fault(
      "otherKey",
      isWrongKind ? `it needs ${isForPassphrase ? "a passphrase" : "a secret key of one of its recipients"}` : undefined
    )
  }
}

const PAYLOAD = encoder.encode("payload")

/** The key of the payload that begins with this nonce. */
export const payloadKey = (fileKey: Uint8Array, nonce: Uint8Array): Uint8Array =>
  hkdf(sha256, fileKey, nonce, PAYLOAD, 32)
