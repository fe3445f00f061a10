/** The pages' assets: the workspace folder `pages`, as its build writes it into one file of this package. */
import { readFileSync } from "node:fs"

export interface Asset {
  readonly type: string
  readonly body: string
}

interface Built {
  /** The names of what a page names: the others are loaded by the script. */
  readonly entries: { readonly style: string; readonly script: string; readonly worker: string; readonly icon: string }
  /** By their names below `/assets/`, which contain a hash, so that browsers may cache them without end. */
  readonly files: Readonly<Record<string, Asset>>
}

const built = JSON.parse(readFileSync(new URL("../../../web/pages.json", import.meta.url), "utf8")) as Built

export const { icon, script, style, worker } = built.entries

export const byName: ReadonlyMap<string, Asset> = new Map(Object.entries(built.files))
