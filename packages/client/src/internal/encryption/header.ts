/**
 * The header of an age file (https://age-encryption.org/v1#header) for passphrases and for keys of X25519, which are those of
 * all links. Other kinds of keys need the `age-encryption` library, which is loaded for them. `decrypt` calls it;
 * `newHeader.ts` makes new headers.
 */
import * as AgeKey from "@effect-fileio/core/AgeKey"
import * as Effect from "effect/Effect"
import type { Cipher } from "../../Platform.ts"
import { concat } from "../shared/bytes.ts"
import { makeSha256 } from "../shared/sha256.ts"
import { Fault } from "./fault.ts"
import type * as Library from "./library.ts"

/** Derives 32 bytes from a passphrase by scrypt. Rejects with a `Fault` if there is not enough memory. */
export type Scrypt = (passphrase: string, salt: Uint8Array, logN: number) => Promise<Uint8Array>

/** Bytes of a file's key, of the nonce before its payload, and of a salt. */
export const KEY_BYTES = 16
export const TAG_BYTES = 16
export const X25519_BYTES = 32

/** The highest work factor of a passphrase, as in the age program: 4 GiB of memory, and about 15 seconds. */
const MAX_LOG_N = 22

export const VERSION = "age-encryption.org/v1"
/** Most bytes in a line of Base64. */
export const LINE_BYTES = 48
export const ZERO_NONCE = new Uint8Array(12)

/**
 * Loads the library, and first what it imports, piece by piece: to evaluate all of it at once would hold the event loop for 25
 * ms.
 */
export const loadLibrary = async (): Promise<typeof Library> => {
  for (const load of [() => import("@noble/post-quantum/ml-kem.js"), () => import("@noble/post-quantum/hybrid.js")]) {
    await load()
    await Effect.runPromise(Effect.sleep(0))
  }
  return import("./library.ts")
}

export const encoder = new TextEncoder()
export const join = (...parts: ReadonlyArray<Uint8Array>): Uint8Array =>
  concat(parts, parts.reduce((sum, { length }) => sum + length, 0))

export const encodeBase64 = (bytes: Uint8Array): string => btoa(String.fromCharCode(...bytes)).replace(/=+$/, "")

/** Takes only the one encoding of at most 48 bytes: a header has no longer ones that are read here. */
const decodeBase64 = (text: string): Uint8Array => {
  const isValid = /^[A-Za-z0-9+/]{0,64}$/.test(text) && text.length % 4 !== 1
  const bytes = Uint8Array.from(isValid ? atob(text) : "", (character) => character.charCodeAt(0))
  if (encodeBase64(bytes) !== text) throw new Error("invalid Base64")
  return bytes
}

const sha256 = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const hasher = makeSha256()
  for (const part of parts) hasher.update(part)
  return Uint8Array.from(hasher.digest().match(/../g)!, (byte) => Number.parseInt(byte, 16))
}

/** HMAC-SHA-256 (RFC 2104), of keys up to 64 bytes. */
const hmac = (key: Uint8Array, ...parts: ReadonlyArray<Uint8Array>): Uint8Array => {
  const pad = (value: number) => Uint8Array.from({ length: 64 }, (_, i) => (key[i] ?? 0) ^ value)
  return sha256(pad(0x5C), sha256(pad(0x36), ...parts))
}

/** HKDF-SHA-256 (RFC 5869), of 32 bytes. */
const hkdf = (secret: Uint8Array, salt: Uint8Array, info: string): Uint8Array =>
  hmac(hmac(salt, secret), encoder.encode(info), Uint8Array.of(1))

/** What makes a secret key of PKCS #8 of 32 bytes. */
const PKCS8 = /* @__PURE__ */ Uint8Array.of(48, 46, 2, 1, 0, 48, 5, 6, 3, 43, 101, 110, 4, 34, 4, 32)

export const BASE_POINT = /* @__PURE__ */ Uint8Array.from({ length: X25519_BYTES }, (_, i) => i === 0 ? 9 : 0)

/** X25519 (RFC 7748). Refuses a point of low order, whose product would be 0 for every secret. */
export const multiply = async (secret: Uint8Array, point: Uint8Array): Promise<Uint8Array> => {
  try {
    const name = "X25519"
    const key = await crypto.subtle.importKey("pkcs8", join(PKCS8, secret) as BufferSource, { name }, false, [
      "deriveBits"
    ])
    const peer = await crypto.subtle.importKey("raw", point as BufferSource, { name }, false, [])
    return new Uint8Array(await crypto.subtle.deriveBits({ name, public: peer }, key, 256))
  } catch {
    // Older platforms do not have it, and pages without https have no `subtle`. This code refuses what it has to.
    const { x25519 } = await import("@noble/curves/ed25519.js")
    return x25519.scalarMult(secret, point)
  }
}

export interface Stanza {
  readonly args: ReadonlyArray<string>
  readonly body: Uint8Array
}

interface Parsed {
  readonly stanzas: ReadonlyArray<Stanza>
  /** What the authentication code is made of. */
  readonly signed: Uint8Array
  readonly mac: Uint8Array
}

/** Takes only the one form of a header that the format allows. */
const parse = (header: Uint8Array): Parsed => {
  const text = new TextDecoder("latin1").decode(header)
  if (!/^[\n -~]*$/.test(text)) throw new Error("a character that is not ASCII")
  const lines = text.split("\n")
  if (lines[0] !== VERSION) throw new Error("its version is not supported")
  const stanzas: Array<Stanza> = []
  let at = 1
  while (lines[at]?.startsWith("-> ")) {
    const args = lines[at++]!.slice(3).split(" ")
    if (args.includes("")) throw new Error("invalid stanza")
    const body: Array<Uint8Array> = []
    do {
      const line = lines[at++]
      if (line === undefined) throw new Error("invalid stanza")
      body.push(decodeBase64(line))
    } while (body.at(-1)!.length === LINE_BYTES)
    stanzas.push({ args, body: join(...body) })
  }
  const mac = /^--- ([A-Za-z0-9+/]{43})$/.exec(lines[at] ?? "")?.[1]
  if (mac === undefined || lines.length !== at + 2 || lines[at + 1] !== "") {
    throw new Error("the last line of its header")
  }
  return { stanzas, mac: decodeBase64(mac), signed: header.subarray(0, header.length - mac.length - 2) }
}

export const macOf = (fileKey: Uint8Array, signed: Uint8Array): Uint8Array =>
  hmac(hkdf(fileKey, new Uint8Array(0), "header"), signed)

/** The file's key in a stanza; `undefined`: this key does not open it. */
const unwrap = (cipher: Cipher, key: Uint8Array, { args: [type], body }: Stanza): Uint8Array | undefined => {
  // A longer one could be made to open with several keys.
  if (body.length !== KEY_BYTES + TAG_BYTES) throw new Error(`invalid ${type} stanza`)
  const fileKey = new Uint8Array(KEY_BYTES)
  return cipher.open(key, ZERO_NONCE, body, fileKey) ? fileKey : undefined
}

export const x25519Key = (shared: Uint8Array, share: Uint8Array, recipient: Uint8Array): Uint8Array =>
  hkdf(shared, join(share, recipient), "age-encryption.org/v1/X25519")

export const scryptSalt = (salt: Uint8Array): Uint8Array => join(encoder.encode("age-encryption.org/v1/scrypt"), salt)

/** The keys and passphrase that may decrypt a file. */
export interface Secrets {
  readonly identities: ReadonlyArray<string>
  readonly passphrase: string | undefined
}

/** Loads the code that these keys need. */
export const prepare = async ({ identities }: Pick<Secrets, "identities">): Promise<void> => {
  for (const text of identities) {
    const identity = AgeKey.toX25519(text)
    if (identity === undefined) await loadLibrary()
    else await multiply(identity, BASE_POINT)
  }
}

const openX25519 = async (
  identity: Uint8Array,
  stanzas: ReadonlyArray<Stanza>,
  cipher: Cipher
): Promise<Uint8Array | undefined> => {
  const recipient = await multiply(identity, BASE_POINT)
  for (const stanza of stanzas) {
    if (stanza.args[0] !== "X25519") continue
    const share = stanza.args.length === 2 ? decodeBase64(stanza.args[1]!) : undefined
    if (share?.length !== X25519_BYTES) throw new Error("invalid X25519 stanza")
    const key = x25519Key(await multiply(identity, share), share, recipient)
    const fileKey = unwrap(cipher, key, stanza)
    if (fileKey !== undefined) return fileKey
  }
  return undefined
}

const openScrypt = async (
  passphrase: string,
  stanza: Stanza,
  scrypt: Scrypt,
  cipher: Cipher
): Promise<Uint8Array | Fault | undefined> => {
  const [, saltText, logN] = stanza.args
  const salt = stanza.args.length === 3 && /^[1-9]\d?$/.test(logN!) ? decodeBase64(saltText!) : undefined
  if (salt?.length !== KEY_BYTES || stanza.body.length !== KEY_BYTES + TAG_BYTES) {
    throw new Error("invalid scrypt stanza")
  }
  if (Number(logN) > MAX_LOG_N) {
    return new Fault(
      "workFactor",
      `its work factor is ${logN}; allowed: up to ${MAX_LOG_N}, which takes 4 GiB of memory`
    )
  }
  return unwrap(cipher, await scrypt(passphrase, scryptSalt(salt), Number(logN)), stanza)
}

const isSame = (one: Uint8Array, other: Uint8Array): boolean =>
  one.reduce((different, byte, i) => different | (byte ^ other[i]!), 0) === 0

/** The message of an error, which contains no key. The part after a colon may be of the file. */
const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : "").split(/[:\n]/, 1)[0]!

const find = async (
  header: Uint8Array,
  { mac, signed, stanzas }: Parsed,
  { identities, passphrase }: Secrets,
  scrypt: Scrypt,
  cipher: Cipher
): Promise<Uint8Array | Fault> => {
  const forPassphrase = stanzas.find(({ args }) => args[0] === "scrypt")
  // A reader who knows the passphrase would have to trust the owners of the other keys.
  if (forPassphrase !== undefined && stanzas.length > 1) throw new Error("a passphrase and other keys together")
  const keyOf = async (): Promise<Uint8Array | Fault | undefined> => {
    for (const text of identities) {
      const identity = AgeKey.toX25519(text)
      const found = identity === undefined
        ? await (await loadLibrary()).openHeader(header, text)
        : await openX25519(identity, stanzas, cipher)
      if (found !== undefined) return found
    }
    return passphrase === undefined || forPassphrase === undefined
      ? undefined
      : openScrypt(passphrase, forPassphrase, scrypt, cipher)
  }
  const found = await keyOf()
  if (found instanceof Fault) return found
  if (found !== undefined) {
    return isSame(mac, macOf(found, signed)) ? found : new Fault("changed", "in its header")
  }
  const isWrongKind = forPassphrase === undefined ? identities.length === 0 : passphrase === undefined
  return new Fault(
    "otherKey",
    isWrongKind
      ? `it needs ${forPassphrase === undefined ? "a secret key of one of its recipients" : "a passphrase"}`
      : undefined
  )
}

/** Finds the key of a file in its header. */
export const openHeader = async (
  header: Uint8Array,
  secrets: Secrets,
  scrypt: Scrypt,
  cipher: Cipher
): Promise<Uint8Array | Fault> => {
  try {
    return await find(header, parse(header), secrets, scrypt, cipher)
  } catch (error) {
    return error instanceof Fault ? error : new Fault("malformed", wordsOf(error))
  }
}

/** The key of the payload that begins with this nonce. */
export const payloadKey = (fileKey: Uint8Array, nonce: Uint8Array): Uint8Array => hkdf(fileKey, nonce, "payload")
