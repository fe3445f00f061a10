/**
 * Secure random bytes, of which the system gives some thousands at a time: an upload needs 60 in four pieces, and to ask the
 * system for each of them takes a twentieth of its processor time.
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Layer from "effect/Layer"
import { randomFillSync } from "node:crypto"

const DRAWN_BYTES = 4096

export const make = (): SecureRandom.SecureRandom["Service"] => {
  const drawn = new Uint8Array(DRAWN_BYTES)
  let given = DRAWN_BYTES
  return SecureRandom.make((size) => {
    if (size > DRAWN_BYTES) return randomFillSync(new Uint8Array(size))
    if (given + size > DRAWN_BYTES) {
      randomFillSync(drawn)
      given = 0
    }
    const bytes = drawn.slice(given, given + size)
    // What is a secret now has no second copy here.
    drawn.fill(0, given, given + size)
    given += size
    return bytes
  })
}

export const layer: Layer.Layer<SecureRandom.SecureRandom> = Layer.sync(SecureRandom.SecureRandom, make)
