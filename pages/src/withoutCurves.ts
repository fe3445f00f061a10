/**
 * In place of the curves and lattices that age knows besides X25519: no link of ours needs them, and they are a fifth of all that the
 * page loads. `download.ts` refuses their keys before a request.
 */
const missing = () => {
  throw new Error("this page has only the usual keys of age (X25519) and passphrases")
}
const scheme = { getPublicKey: missing, encapsulate: missing, decapsulate: missing }

export const MLKEM768P256 = scheme
export const MLKEM768X25519 = scheme
export const p256 = { lengths: {}, getPublicKey: missing, getSharedSecret: missing, Point: { fromBytes: missing } }
