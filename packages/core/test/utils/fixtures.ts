import { readdirSync, readFileSync } from "node:fs"

const folder = new URL("../fixtures/", import.meta.url)

/** Names of all bodies in `test/fixtures`, such as `upload.oldest`. */
export const names: ReadonlyArray<string> = readdirSync(folder)
  .filter((file) => file.endsWith(".json"))
  .map((file) => file.slice(0, -".json".length))

export const text = (name: string): string => readFileSync(new URL(`${name}.json`, folder), "utf8")

export const body = (name: string): unknown => JSON.parse(text(name))
