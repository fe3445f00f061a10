import * as FileKey from "@effect-fileio/core/FileKey"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

export const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
/** Letters and digits of a key. */
export const LENGTH = 12
/** The largest multiple of the alphabet's size in a byte; larger bytes would favour the first letters. */
const FAIR = 256 - 256 % ALPHABET.length

/**
 * How long the key of a deleted file is not used again, in milliseconds. After that a collision is as unlikely as guessing the
 * key of a file: there are 3 · 10²¹ of them.
 */
export const TOMBSTONE_MILLIS = 90 * 24 * 60 * 60 * 1000
/** Tombstones that one sweep removes. */
export const END_TOMBSTONES = 1000

/** A new key: 12 letters and digits, each equally likely. */
export const make = Effect.fnUntraced(function*(random: SecureRandom.SecureRandom["Service"]) {
  let key = ""
  while (key.length < LENGTH) {
    for (const byte of yield* random.randomBytes(LENGTH)) {
      if (byte < FAIR && key.length < LENGTH) key += ALPHABET[byte % ALPHABET.length]
    }
  }
  return key
})

/** A new id of a lease, which nobody can guess. */
export const makeLeaseId = (random: SecureRandom.SecureRandom["Service"]) =>
  Effect.map(random.randomBytes(24), (bytes) => Buffer.from(bytes).toString("base64url"))

/** Whether a text has the form of a key. */
export const isKey = Schema.is(FileKey.FileKey)

/** Whether a text can be a key that `make` made; where a catalog has shards, a letter of the shard may come first. */
export const isOwnKey = (text: string, hasShards: boolean): boolean =>
  (text.length === LENGTH || (hasShards && text.length === LENGTH + 1)) && isKey(text)
