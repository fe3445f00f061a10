/** Formats values for a terminal. */
import * as PlainText from "@effect-fileio/core/PlainText"
import { displayWidth } from "effect/cli/CliOutput"
import { sep } from "node:path"

const UNITS = ["kB", "MB", "GB", "TB", "PB"] as const

/** `999 B`, `1.5 MB`: decimal units, as disks and networks count. */
export const bytes = (count: number): string => {
  if (count < 1000) return `${Math.round(count)} B`
  let value = count
  let unit: (typeof UNITS)[number] = "kB"
  for (const next of UNITS) {
    value /= 1000
    unit = next
    // A value that rounds to 1000 uses the next unit.
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

const UNITS_OF_LIFE = [["year", 31_556_952], ["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]] as const

/** How long a file lives, in seconds: `14 days`, `1 year`, `90 minutes`. */
export const life = (seconds: number): string => {
  const [unit, size] =
    UNITS_OF_LIFE.find(([, size]) => seconds >= size && Math.abs(seconds / size - Math.round(seconds / size)) < 0.01) ??
      ["second", 1]
  return plural(Math.round(seconds / size), unit)
}

/** A time in the zone of this machine, which is named: `2026-12-31 23:59 GMT+1`. */
export const time = (date: Date): string => {
  const parts = Object.fromEntries(
    new Intl.DateTimeFormat("en-US", {
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
      timeZoneName: "short"
    }).formatToParts(date).map(({ type, value }) => [type, value])
  )
  return `${parts["year"]}-${parts["month"]}-${parts["day"]} ${parts["hour"]}:${parts["minute"]} ${
    parts["timeZoneName"]
  }`
}

export const plural = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString("en-US")} ${count === 1 ? one : many}`

/** Untrusted text on one line, safe for a terminal. */
export const visible = PlainText.visible

/** Untrusted text of several lines, safe for a terminal. */
export const visibleLines = (text: string): string => text.split("\n").map(visible).join("\n")

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" })

/** Shortens a text to a number of columns; it cuts the middle, since the extension is informative. */
export const fit = (text: string, columns: number): string => {
  if (displayWidth(text) <= columns) return text
  if (columns < 2) return "\u2026".slice(0, Math.max(0, columns))
  const all = Array.from(graphemes.segment(text), ({ segment }) => segment)
  let [start, startWidth] = [0, 0]
  let [end, endWidth] = [all.length, 0]
  while (start < end) {
    const isStart = startWidth <= endWidth
    const width = displayWidth(all[isStart ? start : end - 1]!)
    if (startWidth + endWidth + width + 1 > columns) break
    if (isStart) {
      start++
      startWidth += width
    } else {
      end--
      endWidth += width
    }
  }
  return `${all.slice(0, start).join("")}\u2026${all.slice(end).join("")}`
}

export const padEnd = (text: string, columns: number): string =>
  text + " ".repeat(Math.max(0, columns - displayWidth(text)))

export const padStart = (text: string, columns: number): string =>
  " ".repeat(Math.max(0, columns - displayWidth(text))) + text

/** Aligns columns to their widest cell, two spaces apart; numbers to the right. Cells may hold untrusted text. */
export const table = (
  head: ReadonlyArray<string>,
  rows: ReadonlyArray<ReadonlyArray<string>>,
  right: ReadonlySet<number>
): ReadonlyArray<string> => {
  const all = [head, ...rows].map((row) => row.map(visible))
  const widths = head.map((_, column) => Math.max(...all.map((row) => displayWidth(row[column] ?? ""))))
  return all.map((row) =>
    row.map((cell, column) => right.has(column) ? padStart(cell, widths[column]!) : padEnd(cell, widths[column]!))
      .join("  ").trimEnd()
  )
}

/** A bar of a number of columns. */
export const bar = (share: number, columns: number): string => {
  const filled = Math.round(Math.min(1, Math.max(0, share)) * columns)
  return `[${"#".repeat(filled)}${".".repeat(columns - filled)}]`
}

/** Quotes a word for the shells of this system: those of POSIX, or PowerShell and `cmd.exe`, which knows no single quotes. */
export const quoted = (word: string, isWindows = sep === "\\"): string =>
  isWindows
    ? /^[\w@+=:./\\-]+$/.test(word) ? word : `"${word.replaceAll("\"", "\"\"")}"`
    : /^[\w@%+=:,./-]+$/.test(word)
    ? word
    : `'${word.replaceAll("'", "'\\''")}'`
