/** What each client of the fault lab saw of each file, and what must therefore be true in the end. */

/** Violations, with their number. */
export type Verdict =
  | "acknowledged and lost"
  | "given too often"
  | "wrong bytes"
  | "lease stuck"
  | "row without bytes"
  | "bytes without owner"
  | "quota not exact"
  | "call without end"
  | "wrong answer"

/** The bytes of a file follow from its name and version, so every received byte can be checked. */
export const contentOf = (name: string, version: number, size: number): Buffer => {
  const bytes = Buffer.alloc(size)
  let state = version
  for (const char of name) state = Math.imul(state, 31) + char.charCodeAt(0) | 0
  for (let at = 0; at < size; at++) {
    state = Math.imul(state, 1664525) + 1013904223 | 0
    bytes[at] = state >>> 24
  }
  return bytes
}

/** A content that a file has, had, or may have got by a call with an unknown outcome. */
export interface Version {
  readonly number: number
  readonly size: number
  /** Complete downloads. */
  whole: number
  /** The response to its upload said that nothing was changed. */
  refused: boolean
}

/** A broken download, which may have been counted. A client with its `etag` may resume it, once here. */
export interface Broken {
  readonly received: Buffer
  /** Number of the oldest content that it may be of. */
  readonly since: number
  etag: string | undefined
}

export class Entry {
  readonly name: string
  /** How many times each content may be downloaded. */
  readonly allowed: number
  /** Those of its account. */
  readonly headers: Record<string, string>
  /** `unknown`: the response to the upload was lost, or said so. */
  stored: "yes" | "no" | "unknown" = "unknown"
  key: string | undefined
  deleteToken: string | undefined
  /** Contents that it may have now; several while the outcome of a change is unknown. */
  current: ReadonlyArray<Version>
  readonly versions: Array<Version>
  readonly broken = new Set<Broken>()
  deletion: "not asked" | "asked" | "done" = "not asked"
  /** One client at a time changes or deletes it. */
  busy = false

  constructor(name: string, allowed: number, size: number, headers: Record<string, string>) {
    this.name = name
    this.allowed = allowed
    this.headers = headers
    this.versions = []
    this.current = [this.newVersion(size)]
  }

  newVersion(size: number): Version {
    const version = { number: this.versions.length + 1, size, whole: 0, refused: false }
    this.versions.push(version)
    return version
  }

  /** Number of the oldest content that it may have now. */
  oldest(): number {
    return Math.min(...this.current.map(({ number }) => number))
  }

  /** Whether it may be gone, judging by what the clients saw of it. */
  mayBeGone(): boolean {
    return this.deletion !== "not asked" || this.current.some(({ whole }) => whole + this.broken.size >= this.allowed)
  }
}

export class Ledger {
  readonly entries: Array<Entry> = []
  readonly violations: Array<{ readonly verdict: Verdict; readonly what: string }> = []
  readonly counts: Record<string, number> = {}

  add(name: string, allowed: number, size: number, headers: Record<string, string>): Entry {
    const entry = new Entry(name, allowed, size, headers)
    this.entries.push(entry)
    return entry
  }

  count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }

  violated(verdict: Verdict, what: string, entry?: Entry): void {
    this.violations.push({
      verdict,
      what: entry === undefined ? what : `${entry.name} (${entry.key ?? "no key"}): ${what}`
    })
  }

  /** All bytes arrived of a content that the file has, or had since the one with this number. */
  received(entry: Entry, bytes: Buffer, since: number): void {
    const version = entry.versions.find(({ number, refused, size }) =>
      number >= since && !refused && size === bytes.length && bytes.equals(contentOf(entry.name, number, size))
    )
    if (version === undefined) {
      return this.violated("wrong bytes", `${bytes.length} bytes are of no content since ${since}`, entry)
    }
    version.whole++
    if (version.whole > entry.allowed) {
      this.violated("given too often", `content ${version.number} was given ${version.whole} times`, entry)
    }
  }
}

/** Random numbers from a seed. */
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
