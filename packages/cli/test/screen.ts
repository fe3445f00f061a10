/** Emulates enough of a terminal to see whether anything is left on the screen. Wraps lines, also when resized. */
export class Screen {
  private lines: Array<string> = [""]
  private line = 0
  private column = 0
  /** After the last column the cursor stays on the row until something more is written. */
  private isFull = false
  columns: number

  constructor(columns: number) {
    this.columns = columns
  }

  /** The first column of the physical row that the cursor is on. */
  private get rowStart(): number {
    const { column, columns } = this
    return this.isFull ? column - columns : column - column % columns
  }

  private rowsOf(line: number): number {
    return Math.max(1, Math.ceil(this.lines[line]!.length / this.columns))
  }

  private up(count: number): void {
    const offset = this.column - this.rowStart
    let row = this.rowStart / this.columns
    for (let n = 0; n < count; n++) {
      if (row > 0) row--
      else if (this.line > 0) row = this.rowsOf(--this.line) - 1
    }
    this.column = row * this.columns + offset
  }

  private down(): void {
    const offset = this.column - this.rowStart
    const row = this.rowStart / this.columns
    if (row + 1 < this.rowsOf(this.line)) {
      this.column = (row + 1) * this.columns + offset
      return
    }
    this.line++
    if (this.line === this.lines.length) this.lines.push("")
    this.column = offset
  }

  write(text: string): void {
    for (const [token] of text.matchAll(/\u001B\[[0-9;?]*[A-Za-z]|[\s\S]/gu)) {
      if (token === "\r") {
        this.column = this.rowStart
        this.isFull = false
      } else if (token === "\n") this.down()
      else if (token === "\u001B[J") {
        this.lines[this.line] = this.lines[this.line]!.slice(0, this.column)
        this.lines.length = this.line + 1
      } else if (/^.\[\d+A$/.test(token)) this.up(Number(token.slice(2, -1)))
      else if (/^.\[[0-9;]*m$/.test(token)) continue
      else if (token.startsWith("\u001B")) throw new Error(`unknown sequence ${JSON.stringify(token)}`)
      else {
        const line = this.lines[this.line]!
        this.lines[this.line] = line.slice(0, this.column).padEnd(this.column) + token + line.slice(this.column + 1)
        this.column++
        this.isFull = this.column % this.columns === 0
      }
    }
  }

  resize(columns: number): void {
    this.columns = columns
    this.isFull = this.column > 0 && this.column % columns === 0
  }

  /** The visible lines, without empty ones at the end. */
  shown(): ReadonlyArray<string> {
    return this.lines.join("\n").trimEnd().split("\n")
  }
}

/** The output without escapes that only move the cursor or colour. */
export const plain = (text: string): string => text.replace(/\u001B\[[0-9;?]*[A-Za-z]/g, "")
