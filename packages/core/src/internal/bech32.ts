/** Bech32 (BIP 173) without a limit of length, as in age's keys: a prefix, `1`, data, and a checksum of six characters. */

const CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
const GENERATOR = [0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]
const CHECKSUM = 6

const step = (sum: number, value: number): number => {
  const top = sum >>> 25
  let next = ((sum & 0x1FFFFFF) << 5) ^ value
  for (const [bit, factor] of GENERATOR.entries()) if (((top >>> bit) & 1) === 1) next ^= factor
  return next
}

/** The checksum's state after a prefix and data. */
const sumOf = (prefix: string, data: ReadonlyArray<number>): number => {
  const codes = Array.from(prefix, (character) => character.charCodeAt(0))
  return [...codes.map((code) => code >>> 5), 0, ...codes.map((code) => code & 31), ...data].reduce(step, 1)
}

/** Divides the bits of values into groups of another size, the highest bit first. */
const regroup = (values: Iterable<number>, from: number, to: number): Array<number> => {
  const groups: Array<number> = []
  let bits = 0
  let held = 0
  for (const value of values) {
    held = (held << from) | value
    bits += from
    for (; bits >= to; bits -= to) groups.push((held >>> (bits - to)) & ((1 << to) - 1))
    held &= (1 << bits) - 1
  }
  return bits === 0 || to === 8 ? groups : [...groups, held << (to - bits)]
}

/** The bytes in a text with this prefix, all in one case; `undefined` if its checksum, a character or its length is wrong. */
export const decode = (prefix: string, text: string): Uint8Array | undefined => {
  const lower = text.toLowerCase()
  if (text !== lower && text !== text.toUpperCase()) return undefined
  if (!lower.startsWith(`${prefix}1`)) return undefined
  const data = Array.from(lower.slice(prefix.length + 1), (character) => CHARSET.indexOf(character))
  if (data.length < CHECKSUM || data.includes(-1)) return undefined
  if (sumOf(prefix, data) !== 1) return undefined
  const bytes = Uint8Array.from(regroup(data.slice(0, -CHECKSUM), 5, 8))
  // The bits that fill up the last character are 0, so that a key has one form, as the age program requires.
  return encode(prefix, bytes) === lower ? bytes : undefined
}

/** Bytes as a text with this prefix, in lower case. */
export const encode = (prefix: string, bytes: Uint8Array): string => {
  const data = regroup(bytes, 8, 5)
  const sum = sumOf(prefix, [...data, 0, 0, 0, 0, 0, 0]) ^ 1
  const checksum = [25, 20, 15, 10, 5, 0].map((shift) => (sum >>> shift) & 31)
  return `${prefix}1${[...data, ...checksum].map((value) => CHARSET[value]).join("")}`
}
