/** The pages' assets: the workspace folder `pages`, as its build writes it into one file of this package. */
import { readFileSync } from "node:fs"
import { gunzipSync } from "node:zlib"

/** The encodings in which the build has compressed the assets, the smallest first. */
const ENCODINGS = ["br", "gzip"] as const

type Encoding = typeof ENCODINGS[number]

/** The content in Base64, in each encoding. */
interface Asset extends Readonly<Record<Encoding, string>> {
  readonly type: string
}

interface Built {
  /** The names of what a page names: the others are loaded by the scripts. */
  readonly entries: Readonly<Record<"style" | "sendStyle" | "page" | "send" | "receive" | "worker" | "icon", string>>
  /** The names of the words that a script uses. */
  readonly words: Readonly<Record<"send" | "receive", ReadonlyArray<string>>>
  /** By their names below `/assets/`, which contain a hash, so that browsers may cache them without end. */
  readonly files: Readonly<Record<string, Asset>>
}

const built = JSON.parse(readFileSync(new URL("../../../web/pages.json", import.meta.url), "utf8")) as Built

const { page, receive, send } = built.entries

export const { icon, sendStyle, style, worker } = built.entries

export const { words } = built

export const scripts = { page, receive, send }

export interface Content {
  readonly type: string
  readonly encoding: Encoding | undefined
  readonly bytes: Uint8Array
}

const byName = new Map(Object.entries(built.files))

/** Without an encoding, which few clients ask for. */
const plain = new Map<string, Uint8Array>()

const plainOf = (name: string, asset: Asset): Uint8Array => {
  const bytes = plain.get(name) ?? gunzipSync(Buffer.from(asset.gzip, "base64"))
  plain.set(name, bytes)
  return bytes
}

/** Whether an `Accept-Encoding` names an encoding, and not with the weight 0. */
const accepts = (accepted: string, encoding: Encoding): boolean =>
  accepted.toLowerCase().split(",").some((one) => {
    const [name, ...parameters] = one.split(";").map((part) => part.trim())
    return name === encoding && !parameters.some((parameter) => /^q=0(?:\.0*)?$/.test(parameter))
  })

/** The content of an asset, in the smallest form that an `Accept-Encoding` allows; `undefined`: there is no such asset. */
export const find = (name: string, acceptEncoding = ""): Content | undefined => {
  const asset = byName.get(name)
  if (asset === undefined) return undefined
  const encoding = ENCODINGS.find((one) => accepts(acceptEncoding, one))
  const bytes = encoding === undefined ? plainOf(name, asset) : Buffer.from(asset[encoding], "base64")
  return { type: asset.type, encoding, bytes }
}
