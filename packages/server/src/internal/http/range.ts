import type { Range } from "./transfer.ts"

/** Parses a single range of bytes; `undefined` if it is invalid, or there are several, and it is to be ignored. */
export const parse = (header: string | undefined, size: number): Range | "unsatisfiable" | undefined => {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? "")
  if (match === null || (match[1] === "" && match[2] === "")) return undefined
  if (match[1] === "") {
    const length = Math.min(Number(match[2]), size)
    return length === 0 ? "unsatisfiable" : { start: size - length, end: size }
  }
  const start = Number(match[1])
  const end = match[2] === "" ? size : Math.min(Number(match[2]) + 1, size)
  if (match[2] !== "" && Number(match[2]) < start) return undefined
  return start >= size ? "unsatisfiable" : { start, end }
}
