/** How things read in a terminal. */
import { displayWidth } from "effect/cli/CliOutput"

const UNITS = ["kB", "MB", "GB", "TB", "PB"] as const

/** `999 B`, `1.5 MB`: decimal units, as disks and networks count. */
export const bytes = (count: number): string => {
  if (count < 1000) return `${Math.round(count)} B`
  let value = count
  let unit: (typeof UNITS)[number] = "kB"
  for (const next of UNITS) {
    value /= 1000
    unit = next
    // What rounds to 1000 is written in the next unit.
    if (value < 999.95) break
  }
  return `${value.toFixed(1)} ${unit}`
}

/** `0.3 s`, `12 s`, `3 m 20 s`, `2 h 5 m`. */
export const seconds = (millis: number): string => {
  if (millis < 9_950 && millis % 1000 !== 0) return `${(millis / 1000).toFixed(1)} s`
  const all = Math.round(millis / 1000)
  if (all < 60) return `${all} s`
  if (all < 3600) return `${Math.floor(all / 60)} m ${all % 60} s`
  return `${Math.floor(all / 3600)} h ${Math.floor(all / 60) % 60} m`
}

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString("en-US")} ${count === 1 ? one : many}`

// What a terminal would act on, and what shows a text other than it is. Names come from strangers.
const INVISIBLE =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u001F\u007F-\u009F\u00AD\u061C\u180E\u200B-\u200F\u2028-\u202E\u2060-\u206F\uFEFF]/g

/** A text that a terminal only shows. */
export const visible = (text: string): string => text.replace(INVISIBLE, "\uFFFD")

/** At most so many columns; the middle goes, since the extension tells more. */
export const fit = (text: string, columns: number): string => {
  if (displayWidth(text) <= columns) return text
  if (columns < 2) return "\u2026".slice(0, Math.max(0, columns))
  const characters = Array.from(text)
  let head = ""
  let tail = ""
  while (characters.length > 0) {
    const fromHead = displayWidth(head) <= displayWidth(tail)
    const next = fromHead ? characters.shift()! : characters.pop()!
    if (displayWidth(head) + displayWidth(tail) + displayWidth(next) + 1 > columns) break
    if (fromHead) head += next
    else tail = next + tail
  }
  return `${head}\u2026${tail}`
}

export const padEnd = (text: string, columns: number): string =>
  text + " ".repeat(Math.max(0, columns - displayWidth(text)))

export const padStart = (text: string, columns: number): string =>
  " ".repeat(Math.max(0, columns - displayWidth(text))) + text

/** Columns aligned to their widest cell, two spaces apart; numbers to the right. */
export const table = (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  right: ReadonlySet<number>
): ReadonlyArray<string> => {
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...all.map((row) => displayWidth(row[column] ?? ""))))
  return all.map((row) =>
    row.map((cell, column) => right.has(column) ? padStart(cell, widths[column]!) : padEnd(cell, widths[column]!))
      .join("  ").trimEnd()
  )
}

/** A bar of so many columns. */
export const bar = (share: number, columns: number): string => {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * columns)
  return `[${"#".repeat(filled)}${".".repeat(columns - filled)}]`
}

/** A word as a POSIX shell reads it. */
export const quoted = (word: string): string =>
  /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
