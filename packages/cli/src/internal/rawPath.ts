/**
 * Paths with names that are not UTF-8. Node decodes the command line, and puts U+FFFD for each invalid byte, so the bytes are
 * looked up on the disk.
 */
import * as Fs from "node:fs"
import { sep } from "node:path"

const UNKNOWN = "\uFFFD"

/** The bytes of a path: for an invalid name, those of the one name in its folder that decodes to the same text. */
export const find = (path: string): Buffer => {
  if (!path.includes(UNKNOWN)) return Buffer.from(path)
  let found = Buffer.from(path.startsWith("/") ? "/" : "")
  for (const part of path.split(sep).filter((part) => part !== "")) {
    let name = Buffer.from(part)
    if (part.includes(UNKNOWN)) {
      const folder = found.length === 0 ? "." : found
      const fitting = Fs.readdirSync(folder, { encoding: "buffer" }).filter((name) => name.toString("utf8") === part)
      if (fitting.length !== 1) return Buffer.from(path)
      name = Buffer.from(fitting[0]!)
    }
    const isFirst = found.length === 0 || String(found) === "/"
    found = Buffer.concat([found, Buffer.from(isFirst ? "" : sep), name])
  }
  return found
}

const windows1252 = new TextDecoder("windows-1252")
const utf8 = new TextDecoder("utf-8", { fatal: true })

/** A name for people: non-UTF-8 names are mostly Latin-1. */
export const decode = (name: Buffer): string => {
  try {
    return utf8.decode(name)
  } catch {
    return windows1252.decode(name)
  }
}
