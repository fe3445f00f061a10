/** What each client of the fault lab saw of each file, and what must be true of that in the end. */

/** The bytes of a file follow from its name, so every byte that is received can be checked. */
export const contentOf = (name: string, size: number): Buffer => {
  const bytes = Buffer.alloc(size)
  let state = 0
  for (const char of name) state = Math.imul(state, 31) + char.charCodeAt(0) | 0
  for (let at = 0; at < size; at++) {
    state = Math.imul(state, 1664525) + 1013904223 | 0
    bytes[at] = state >>> 24
  }
  return bytes
}

export interface Entry {
  readonly name: string
  readonly size: number
  /** `unknown`: the answer to the upload was lost, or said so. */
  stored: "yes" | "no" | "unknown"
  key: string | undefined
  /** Downloads of which all bytes came. */
  whole: number
  /** Downloads that began and broke: each may have been counted. */
  broken: number
  /** Whether its deletion was asked for, whatever the answer. */
  deleted: boolean
  /** One client at a time changes or deletes it. */
  busy: boolean
}

export class Ledger {
  readonly entries: Array<Entry> = []
  /** What must never happen. */
  readonly violations: Array<string> = []
  readonly counts: Record<string, number> = {}

  add(name: string, size: number): Entry {
    const entry: Entry = {
      name,
      size,
      stored: "unknown",
      key: undefined,
      whole: 0,
      broken: 0,
      deleted: false,
      busy: false
    }
    this.entries.push(entry)
    return entry
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }

  violated(entry: Entry | undefined, what: string): void {
    this.violations.push(entry === undefined ? what : `${entry.name} (${entry.key ?? "no key"}): ${what}`)
  }

  /** A download of which all bytes came; every file here may be had once. */
  received(entry: Entry, bytes: Buffer): void {
    entry.whole++
    if (!bytes.equals(contentOf(entry.name, entry.size))) this.violated(entry, "its bytes are not those of its upload")
    if (entry.whole > 1) this.violated(entry, `it was given ${entry.whole} times`)
  }
}

/** Numbers that follow from a seed. */
export const randomFrom = (seed: number) => {
  let state = seed >>> 0 || 1
  const next = (): number => {
    state ^= state << 13
    state >>>= 0
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state / 2 ** 32
  }
  return {
    next,
    below: (limit: number) => Math.floor(next() * limit),
    pick: <A>(all: ReadonlyArray<A>): A => all[Math.floor(next() * all.length)]!
  }
}

export type Random = ReturnType<typeof randomFrom>
