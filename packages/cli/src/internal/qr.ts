/** Prints a link as a QR code, two modules per character. */
import * as QrCode from "@effect-fileio/core/QrCode"

/** Dark on light whatever the terminal's colours are, since many readers do not support the reverse. */
const INK = "\u001B[38;5;16m\u001B[48;5;231m"
const RESET = "\u001B[0m"
/** Light modules around the code. */
const BORDER = 2

export const lines = (text: string, color: boolean): string => {
  const data = QrCode.encode(text)
  const size = data.length + 2 * BORDER
  const dark = (row: number, column: number): boolean => data[row - BORDER]?.[column - BORDER] === true
  const rows: Array<string> = []
  for (let row = 0; row < size; row += 2) {
    let line = ""
    for (let column = 0; column < size; column++) {
      const upper = dark(row, column)
      const lower = dark(row + 1, column)
      // Without colours the terminal is assumed to be light on dark, so the light modules are drawn.
      line += (color ? "\u0020\u2584\u2580\u2588" : "\u2588\u2580\u2584\u0020")[(upper ? 2 : 0) + (lower ? 1 : 0)]
    }
    rows.push(color ? `${INK}${line}${RESET}` : line)
  }
  return rows.join("\n")
}
