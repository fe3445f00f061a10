/** Makes the headers of new age files. `encrypt` calls it; a page that only decrypts does not need it. */
import * as AgeKey from "@effect-fileio/core/AgeKey"
import { randomBytesUnsafe } from "effect/crypto/SecureRandom"
import type * as Redacted from "effect/Redacted"
import type { Cipher } from "../../Platform.ts"
import * as Header from "./header.ts"

/** Work factor of a passphrase, as in the age program: about a second. */
const LOG_N = 18

const format = ({ args, body }: Header.Stanza): string => {
  const lines = [`-> ${args.join(" ")}`]
  for (let at = 0; at <= body.length; at += Header.LINE_BYTES) {
    lines.push(Header.encodeBase64(body.subarray(at, at + Header.LINE_BYTES)))
  }
  return `${lines.join("\n")}\n`
}

export interface Made {
  readonly header: Uint8Array
  readonly fileKey: Uint8Array
}

const make = (fileKey: Uint8Array, stanzas: ReadonlyArray<Header.Stanza>): Made => {
  const signed = Header.encoder.encode(`${Header.VERSION}\n${stanzas.map(format).join("")}---`)
  return {
    fileKey,
    header: Header.join(signed, Header.encoder.encode(` ${Header.encodeBase64(Header.macOf(fileKey, signed))}\n`))
  }
}

const wrap = (cipher: Cipher, key: Uint8Array, fileKey: Uint8Array): Uint8Array => {
  const body = new Uint8Array(Header.KEY_BYTES + Header.TAG_BYTES)
  cipher.seal(key, Header.ZERO_NONCE, fileKey, body)
  return body
}

/** Makes the header of a file that each of the recipients can decrypt. */
export const forRecipients = async (recipients: ReadonlyArray<string>, cipher: Cipher): Promise<Made> => {
  const fileKey = randomBytesUnsafe(Header.KEY_BYTES)
  const stanzas: Array<Header.Stanza> = []
  for (const text of recipients) {
    const recipient = AgeKey.toX25519(text)
    if (recipient === undefined) return (await Header.loadLibrary()).forRecipients(recipients)
    const secret = randomBytesUnsafe(Header.X25519_BYTES)
    const share = await Header.multiply(secret, Header.BASE_POINT)
    const key = Header.x25519Key(await Header.multiply(secret, recipient), share, recipient)
    stanzas.push({ args: ["X25519", Header.encodeBase64(share)], body: wrap(cipher, key, fileKey) })
  }
  return make(fileKey, stanzas)
}

/** Makes the header of a file for a passphrase. */
export const forPassphrase = async (passphrase: string, scrypt: Header.Scrypt, cipher: Cipher): Promise<Made> => {
  const [fileKey, salt] = [randomBytesUnsafe(Header.KEY_BYTES), randomBytesUnsafe(Header.KEY_BYTES)]
  const key = await scrypt(passphrase, Header.scryptSalt(salt), LOG_N)
  const args = ["scrypt", Header.encodeBase64(salt), String(LOG_N)]
  return make(fileKey, [{ args, body: wrap(cipher, key, fileKey) }])
}

/** Makes a new secret key of X25519, and its public key. */
export const generateIdentity = async (): Promise<
  { readonly identity: Redacted.Redacted; readonly recipient: string }
> => {
  const secret = randomBytesUnsafe(Header.X25519_BYTES)
  return {
    identity: AgeKey.identityOf(secret),
    recipient: AgeKey.recipientOf(await Header.multiply(secret, Header.BASE_POINT))
  }
}
