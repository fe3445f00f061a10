/**
 * QR codes (ISO/IEC 18004) of links, for screens: with the lowest level of error correction, L. The pages of a server and the
 * command line show them. A test compares them with those of `uqr`, a package that would be twice as much for each page to
 * load.
 *
 * @since 0.1.0
 */

/** By version: codewords of error correction in each block, and the number of blocks. */
const CORRECTION = "7 10 15 20 26 18 20 24 30 18 20 24 26 30 22 24 28 30 28 28 28 28 30 30 26 28".split(" ").map(Number)
const BLOCKS = "1 1 1 1 1 2 2 2 2 4 4 4 4 4 6 6 6 6 7 8 8 9 9 10 12 12 12 13 14 15 16 17 18 19 19 20 21 22 24 25".split(
  " "
)
  .map(Number)

const correctionOf = (version: number): number => CORRECTION[version - 1] ?? 30

/** Positions of the alignment patterns, on both axes. */
const alignment = (version: number): ReadonlyArray<number> => {
  if (version === 1) return []
  const count = Math.floor(version / 7) + 2
  const step = Math.floor((version * 8 + count * 3 + 5) / (count * 4 - 4)) * 2
  return Array.from({ length: count }, (_, i) => i === 0 ? 6 : version * 4 + 10 - step * (count - 1 - i))
}

/** Codewords of a version, those of error correction included. */
const codewordsOf = (version: number): number => {
  const aligned = alignment(version).length
  const patterns = version === 1 ? 0 : (25 * aligned - 10) * aligned - 55 + (version < 7 ? 0 : 36)
  return Math.floor(((16 * version + 128) * version + 64 - patterns) / 8)
}

/** The product of two numbers of the field of 256. */
const multiply = (one: number, other: number): number => {
  let product = 0
  for (let bit = 7; bit >= 0; bit--) {
    product = (product << 1) ^ ((product >>> 7) * 0x11D) ^ (((other >>> bit) & 1) * one)
  }
  return product
}

/** The codewords that correct errors of a block (Reed-Solomon). */
const correction = (block: ReadonlyArray<number>, count: number): Array<number> => {
  const divisor = [...Array.from({ length: count - 1 }, () => 0), 1]
  for (let i = 0, root = 1; i < count; i++, root = multiply(root, 2)) {
    for (let j = 0; j < count; j++) divisor[j] = multiply(divisor[j]!, root) ^ (divisor[j + 1] ?? 0)
  }
  const rest = Array.from({ length: count }, () => 0)
  for (const byte of block) {
    const factor = byte ^ rest.shift()!
    rest.push(0)
    for (let j = 0; j < count; j++) rest[j]! ^= multiply(divisor[j]!, factor)
  }
  return rest
}

/** The codewords of a text, in the order in which they are drawn; `undefined`: it is too long for this version. */
const codewordsOfText = (text: Uint8Array, version: number): Array<number> | undefined => {
  const [total, blocks, count] = [codewordsOf(version), BLOCKS[version - 1]!, correctionOf(version)]
  const capacity = total - blocks * count
  const lengthBits = version < 10 ? 8 : 16
  const bits = [0, 1, 0, 0]
  const put = (value: number, width: number) => {
    for (let bit = width - 1; bit >= 0; bit--) bits.push((value >>> bit) & 1)
  }
  put(text.length, lengthBits)
  for (const byte of text) put(byte, 8)
  if (bits.length > capacity * 8) return undefined
  put(0, Math.min(4, capacity * 8 - bits.length))
  while (bits.length % 8 > 0) bits.push(0)
  for (let padding = 0xEC; bits.length < capacity * 8; padding ^= 0xEC ^ 0x11) put(padding, 8)
  const data = Array.from({ length: capacity }, (_, i) => Number.parseInt(bits.slice(i * 8, i * 8 + 8).join(""), 2))
  // The first blocks may be a codeword shorter.
  const short = blocks - total % blocks
  const length = Math.floor(total / blocks) - count
  const parts = Array.from({ length: blocks }, (_, i) => {
    const from = i * length + Math.max(0, i - short)
    return data.slice(from, from + length + (i < short ? 0 : 1))
  })
  const corrections = parts.map((part) => correction(part, count))
  const interleaved = (lists: ReadonlyArray<ReadonlyArray<number>>, longest: number) =>
    Array.from({ length: longest }, (_, i) => lists.flatMap((list) => list[i] ?? [])).flat()
  return [...interleaved(parts, length + 1), ...interleaved(corrections, count)]
}

/** A number with the code that corrects it. */
const coded = (value: number, width: number, generator: number): number => {
  let rest = value
  for (let i = 0; i < width; i++) rest = (rest << 1) ^ ((rest >>> (width - 1)) * generator)
  return (value << width) | rest
}

/** Of the eight masks, the chessboard: a link is varied enough for any of them. */
const isInverted = (x: number, y: number): boolean => (x + y) % 2 === 0
const FORMAT = coded(0b01_000, 10, 0x537) ^ 0x5412

/**
 * Returns the rows of the code of a text; `true` is dark. It has no border: a reader needs light ground around it. A text of more
 * than 2,953 bytes throws.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = (text: string): ReadonlyArray<ReadonlyArray<boolean>> => {
  const bytes = new TextEncoder().encode(text)
  let version = 1
  let codewords = codewordsOfText(bytes, version)
  while (codewords === undefined) {
    if (version === 40) throw new Error("the text is too long for a QR code")
    codewords = codewordsOfText(bytes, ++version)
  }
  const size = version * 4 + 17
  const rows: Array<Array<boolean | undefined>> = Array.from({ length: size }, () => Array.from({ length: size }))
  const set = (x: number, y: number, isDark: boolean) => {
    if (x >= 0 && y >= 0 && x < size && y < size) rows[y]![x] = isDark
  }
  for (let i = 0; i < size; i++) {
    set(6, i, i % 2 === 0)
    set(i, 6, i % 2 === 0)
  }
  /** A finder (radius 4, with its light border) or an alignment pattern (radius 2): concentric squares. */
  const square = (x: number, y: number, radius: number) => {
    for (let dy = -radius; dy <= radius; dy++) {
      for (let dx = -radius; dx <= radius; dx++) {
        const distance = Math.max(Math.abs(dx), Math.abs(dy))
        set(x + dx, y + dy, radius === 2 ? distance !== 1 : distance !== 2 && distance !== 4)
      }
    }
  }
  const corners = [[3, 3], [size - 4, 3], [3, size - 4]] as const
  const positions = alignment(version)
  const last = positions.at(-1)
  for (const x of positions) {
    for (const y of positions) {
      if (!(x === 6 && (y === 6 || y === last)) && !(y === 6 && x === last)) square(x, y, 2)
    }
  }
  for (const [x, y] of corners) square(x, y, 4)
  for (let i = 0; i < 15; i++) {
    const isDark = ((FORMAT >>> i) & 1) === 1
    const near = i < 6 ? i : i < 8 ? i + 1 : i === 8 ? 7 : 14 - i
    if (i < 8) {
      set(8, near, isDark)
      set(size - 1 - i, 8, isDark)
    } else {
      set(near, 8, isDark)
      set(8, size - 15 + i, isDark)
    }
  }
  set(8, size - 8, true)
  if (version >= 7) {
    const code = coded(version, 12, 0x1F25)
    for (let i = 0; i < 18; i++) {
      const [far, near] = [size - 11 + i % 3, Math.floor(i / 3)]
      set(far, near, ((code >>> i) & 1) === 1)
      set(near, far, ((code >>> i) & 1) === 1)
    }
  }
  let at = 0
  for (let right = size - 1; right > 0; right -= right === 8 ? 3 : 2) {
    for (let step = 0; step < size; step++) {
      const y = ((right + 1) & 2) === 0 ? size - 1 - step : step
      for (const x of [right, right - 1]) {
        if (rows[y]![x] !== undefined) continue
        const isSet = (((codewords[at >>> 3] ?? 0) >>> (7 - (at & 7))) & 1) === 1
        at++
        rows[y]![x] = isSet !== isInverted(x, y)
      }
    }
  }
  return rows as Array<Array<boolean>>
}
