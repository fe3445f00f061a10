import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as ServerOptions from "../src/ServerOptions.ts"

const read = (path: string) => Fs.readFileSync(new URL(path, import.meta.url), "utf8")
const rows = Object.entries<ServerOptions.Row<unknown>>(ServerOptions.table)
const shown = ServerOptions.programDefaultText

describe("the table of options", () => {
  it("is the README's", () => {
    const documented = read("../README.md").split("\n").filter((line) => /^\| `[a-z-]+` +\| `[\w.]+` /.test(line)).map(
      (line) => line.split(/ *\| */).slice(1, 5).map((cell) => cell.replaceAll("`", "").trim())
    )
    const expected = rows.map(([name, row]) => [
      row.flag,
      name.startsWith("admin") ? `admin.${name.slice("admin".length).toLowerCase()}` : name,
      row.meaning,
      row.embedded === undefined ? shown(row) : `${shown(row)}; embedded: ${shown({ standard: row.embedded })}`
    ])
    assert.deepStrictEqual(documented, expected)
  })

  it("has the defaults that the comments of the options have", () => {
    const sources = read("../src/ServerOptions.ts") + read("../src/Engines.ts")
    const comments = new Map(
      [...sources.matchAll(/@default ([^\n]*?)(?: \*\/)?\n(?:\s+\*\/\n)?\s+readonly (\w+)\?/g)].map((
        [, text, name]
      ) => [name!, text!])
    )
    for (const [name, row] of rows) {
      // One is given as `admin`, the other has to be given.
      if (name.startsWith("admin") || name === "dataDirectory") continue
      const expected = row.embedded === undefined
        ? shown(row)
        : `${shown({ standard: row.embedded })}; program: ${shown(row)}`
      assert.strictEqual(comments.get(name), expected, name)
    }
  })

  it("has a flag, a variable and a default that its own codec reads", () => {
    assert.strictEqual(new Set(rows.map(([, row]) => ServerOptions.variableOf(row))).size, rows.length)
    assert.strictEqual(ServerOptions.variableOf(ServerOptions.table.publicUrl), "FILEIO_SERVER_PUBLIC_URL")
    for (const [name, row] of rows) {
      for (const standard of [row.standard, row.embedded ?? row.standard]) {
        if ("text" in standard) assert.strictEqual(row.parse(standard.text)._tag, "Success", name)
      }
    }
  })
})
