/** SHA-256 in plain TypeScript (FIPS 180-4), for platforms without their own. */

// The first 32 bits of the fractional parts of the cube roots of the first 64 primes (FIPS 180-4).
const K = /* @__PURE__ */ (() => {
  const words = new Uint32Array(64)
  let n = 0
  for (let candidate = 2; n < 64; candidate++) {
    let isPrime = true
    for (let divisor = 2; divisor * divisor <= candidate && isPrime; divisor++) isPrime = candidate % divisor !== 0
    if (isPrime) words[n++] = ((Math.cbrt(candidate) % 1) * 2 ** 32) | 0
  }
  return words
})()

const INITIAL = [
  0x6A09E667,
  0xBB67AE85,
  0x3C6EF372,
  0xA54FF53A,
  0x510E527F,
  0x9B05688C,
  0x1F83D9AB,
  0x5BE0CD19
]

const compress = (state: Uint32Array, words: Uint32Array, view: DataView, at: number): void => {
  for (let i = 0; i < 16; i++) words[i] = view.getUint32(at + i * 4)
  for (let i = 16; i < 64; i++) {
    const x = words[i - 15]!
    const y = words[i - 2]!
    const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3)
    const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10)
    words[i] = (words[i - 16]! + s0 + words[i - 7]! + s1) | 0
  }
  let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number]
  for (let i = 0; i < 64; i++) {
    const s1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7))
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i]! + words[i]!) | 0
    const s0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10))
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + t1) | 0
    d = c
    c = b
    b = a
    a = (t1 + t2) | 0
  }
  const next = [a, b, c, d, e, f, g, h]
  for (let i = 0; i < 8; i++) state[i] = (state[i]! + next[i]!) | 0
}

/** Starts a digest of bytes that arrive in pieces. */
export const makeSha256 = () => {
  const state = Uint32Array.from(INITIAL)
  const words = new Uint32Array(64)
  const block = new Uint8Array(64)
  const blockView = new DataView(block.buffer)
  let length = 0
  let filled = 0
  const update = (bytes: Uint8Array) => {
    length += bytes.length
    let at = 0
    if (filled > 0) {
      at = Math.min(64 - filled, bytes.length)
      block.set(bytes.subarray(0, at), filled)
      filled += at
      if (filled < 64) return
      compress(state, words, blockView, 0)
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (; at + 64 <= bytes.length; at += 64) compress(state, words, view, at)
    block.set(bytes.subarray(at))
    filled = bytes.length - at
  }
  return {
    update,
    digest: () => {
      const bits = length * 8
      const padding = new Uint8Array(((filled < 56 ? 56 : 120) - filled) + 8)
      padding[0] = 0x80
      const view = new DataView(padding.buffer)
      view.setUint32(padding.length - 8, Math.floor(bits / 2 ** 32))
      view.setUint32(padding.length - 4, bits >>> 0)
      update(padding)
      return [...state].map((word) => word.toString(16).padStart(8, "0")).join("")
    }
  }
}
