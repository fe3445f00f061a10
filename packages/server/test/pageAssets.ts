/** Scripts that only few files need: those with a passphrase, with a key that is not X25519, in an old browser. */
export const RARELY_LOADED = /\b(?:scrypt|ed25519|library|hybrid|ml-kem|utils)-[\w-]+\.js$/
