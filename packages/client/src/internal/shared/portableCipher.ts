/** ChaCha20-Poly1305 and scrypt in JavaScript, for platforms without their own. Loaded only to encrypt or decrypt. */
import { chacha20poly1305 } from "@noble/ciphers/chacha.js"

export const cipher = {
  seal: (key: Uint8Array, nonce: Uint8Array, plaintext: Uint8Array, into: Uint8Array): void => {
    chacha20poly1305(key, nonce).encrypt(plaintext, into)
  },
  open: (key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array, into: Uint8Array): boolean => {
    try {
      chacha20poly1305(key, nonce).decrypt(sealed, into)
      return true
    } catch {
      // It checks sizes too, which are correct here: the only remaining error is a wrong tag.
      return false
    }
  }
}

/** Returns nothing if there is not enough memory. */
export const scrypt = async (passphrase: string, salt: Uint8Array, logN: number): Promise<Uint8Array | undefined> => {
  // Most files have no passphrase.
  const { scryptAsync } = await import("@noble/hashes/scrypt.js")
  try {
    const maxmem = 2 ** (logN + 11)
    return await scryptAsync(passphrase, salt, { N: 2 ** logN, r: 8, p: 1, dkLen: 32, asyncTick: 10, maxmem })
  } catch (error) {
    // An array of this length is too much for this machine, or for any.
    if (error instanceof RangeError) return undefined
    throw error
  }
}
