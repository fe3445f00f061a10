/** ChaCha20-Poly1305 and scrypt in JavaScript, for platforms without their own. Loaded only to encrypt or decrypt. */
import { chacha20poly1305 } from "@noble/ciphers/chacha.js"
import { scryptAsync } from "@noble/hashes/scrypt.js"
import type { Cipher } from "../../Platform.ts"

export const cipher: Cipher = {
  seal: (key, nonce, plaintext, into) => {
    chacha20poly1305(key, nonce).encrypt(plaintext, into)
  },
  open: (key, nonce, sealed, into) => {
    try {
      chacha20poly1305(key, nonce).decrypt(sealed, into)
      return true
    } catch {
      // It checks sizes too, which are correct here: the only remaining error is a wrong tag.
      return false
    }
  }
}

export const scrypt = (passphrase: string, salt: Uint8Array, logN: number): Promise<Uint8Array> =>
  scryptAsync(passphrase, salt, { N: 2 ** logN, r: 8, p: 1, dkLen: 32, asyncTick: 10 })
