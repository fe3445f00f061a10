/**
 * The pages' assets: the files of `web/` in this package. They lie beside `src` and `dist`, so that the build has nothing to
 * copy. Their names contain a hash, so that browsers may cache them without end.
 */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"

export interface Asset {
  /** Below `/assets/`. */
  readonly name: string
  readonly type: string
  readonly body: string
}

const read = (name: string, extension: string, type: string): Asset => {
  const body = readFileSync(new URL(`../../../web/${name}.${extension}`, import.meta.url), "utf8")
  const hash = createHash("sha256").update(body).digest("hex").slice(0, 12)
  return { name: `${name}-${hash}.${extension}`, type, body }
}

export const style = read("page", "css", "text/css; charset=utf-8")
export const script = read("page", "js", "text/javascript; charset=utf-8")
export const logo = read("icon", "svg", "image/svg+xml")

export const byName: ReadonlyMap<string, Asset> = new Map([style, script, logo].map((asset) => [asset.name, asset]))
