import * as FileKey from "@effect-fileio/core/FileKey"
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
const LENGTH = 12
/** The largest multiple of the alphabet's size in a byte; bytes from it on would favour the first letters. */
const FAIR = 256 - 256 % ALPHABET.length

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

/** Whether a text can be a key at all. */
export const isKey = Schema.is(FileKey.FileKey)
