/** Bech32 (BIP 173) without a limit of length, as in age's keys: a prefix, `1`, data, and a checksum of six characters. */

const CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
const GENERATOR = [0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]

const step = (sum: number, value: number): number => {
  const top = sum >>> 25
  let next = ((sum & 0x1FFFFFF) << 5) ^ value
  for (const [bit, factor] of GENERATOR.entries()) if (((top >>> bit) & 1) === 1) next ^= factor
  return next
}

/** The number of whole bytes in a text with this prefix; `undefined` if its checksum or a character is wrong. */
export const byteLength = (prefix: string, text: string): number | undefined => {
  const lower = text.toLowerCase()
  if (text !== lower && text !== text.toUpperCase()) return undefined
  if (!lower.startsWith(`${prefix}1`)) return undefined
  const data = Array.from(lower.slice(prefix.length + 1), (character) => CHARSET.indexOf(character))
  if (data.length < 6 || data.includes(-1)) return undefined
  const codes = Array.from(prefix, (character) => character.charCodeAt(0))
  let sum = 1
  for (const code of codes) sum = step(sum, code >>> 5)
  sum = step(sum, 0)
  for (const code of codes) sum = step(sum, code & 31)
  for (const value of data) sum = step(sum, value)
  return sum === 1 ? Math.floor((data.length - 6) * 5 / 8) : undefined
}
