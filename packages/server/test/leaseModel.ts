/**
 * The expected behaviour of a catalog's leases, and what its receivers got: the state machine of `lease.ts` for each lease, and
 * a ledger of last bytes that is independent of the machine. `leases.test.ts` runs both beside a real catalog.
 */
import { assert } from "@effect/vitest"
import type * as Catalog from "../src/Catalog.ts"
import * as Machine from "../src/internal/sql/lease.ts"

export interface File {
  readonly key: string
  readonly owner: string
  blob: string
  size: number
  expires: number | null
  max: number | null
  countFrom: "last-byte" | "first-byte"
  autoDelete: boolean
  downloads: number
  attempts: number
  lastAttempt: number | null
  /** Ended leases that count, which the catalog may not have settled yet. */
  pending: number
  buried: boolean
  removed: boolean
}

interface Held {
  readonly id: string
  readonly file: File
  readonly blob: string
  /** Whether it is still a lease of the file, whose content may have been replaced. */
  attached: boolean
  state: Machine.Lease
}

/** A transfer as a server sees it. */
export interface Transfer {
  readonly server: number
  readonly lease: Catalog.Lease
  mayEnd: boolean
  sent: boolean
}

export class Model {
  readonly terms: Machine.Terms
  readonly files: Array<File> = []
  readonly leases = new Map<string, Held>()
  /** Which leases got the last byte of a content, and how many were allowed at most. */
  readonly ledger = new Map<string, { readonly receivers: Set<string>; most: number }>()

  constructor(terms: Machine.Terms) {
    this.terms = terms
  }

  insert(record: Catalog.FileRecord): File {
    const file: File = {
      key: record.key,
      owner: record.owner,
      blob: record.blob,
      size: record.size,
      expires: record.expires,
      max: record.maxDownloads,
      countFrom: record.countFrom,
      autoDelete: record.autoDelete,
      downloads: 0,
      attempts: 0,
      lastAttempt: null,
      pending: 0,
      buried: false,
      removed: false
    }
    this.files.push(file)
    this.allow(file)
    return file
  }

  allow({ blob, max }: File): void {
    const entry = this.ledger.get(blob) ?? { receivers: new Set<string>(), most: 0 }
    entry.most = Math.max(entry.most, max ?? Infinity)
    this.ledger.set(blob, entry)
  }

  /** Leases that end by the clock. */
  advance(now: number): void {
    for (const held of this.leases.values()) {
      if (!Machine.hasEnded(held.state, now)) continue
      this.leases.delete(held.id)
      if (held.attached && Machine.settled(held.state) === "counts") held.file.pending++
    }
  }

  private isFleeting({ autoDelete, owner }: File): boolean {
    return autoDelete || owner === ""
  }

  private isUsedUp({ downloads, max, pending }: File): boolean {
    return max !== null && downloads + pending >= max
  }

  isExpired({ expires }: File, now: number): boolean {
    return expires !== null && expires <= now
  }

  isGone(file: File, now: number): boolean {
    return file.removed || file.buried ||
      (this.isFleeting(file) && (this.isExpired(file, now) || this.isUsedUp(file)))
  }

  private uncounted(file: File): ReadonlyArray<Held> {
    return [...this.leases.values()].filter((held) =>
      held.file === file && held.attached && held.state.phase !== "counted"
    )
  }

  /** The expected results of `claim` and `peek`. */
  availability(file: File, now: number): Catalog.Availability {
    if (file.removed || file.buried || this.isExpired(file, now)) return { _tag: "Gone" }
    const live = this.uncounted(file)
    if (file.max === null || file.downloads + file.pending + live.length < file.max) return { _tag: "Available" }
    return live.length === 0
      ? { _tag: "Gone" }
      : {
        _tag: "InProgress",
        retryAfter: Math.min(...live.map(({ state }) => Machine.freeAt(state, now, this.terms))) - now
      }
  }

  claim(file: File, id: string, now: number): Held {
    const { countFrom, expires, size } = file
    file.attempts++
    file.lastAttempt = now
    const state = Machine.claimed({ expires, size, countsFirst: countFrom === "first-byte" }, now, this.terms)
    const held: Held = { id, file, blob: file.blob, attached: true, state }
    this.leases.set(id, held)
    return held
  }

  private move(held: Held, state: Machine.Lease): void {
    const counts = state.phase === "counted" && held.state.phase !== "counted"
    held.state = state
    if (counts && held.attached && !held.file.buried && !held.file.removed) {
      held.file.downloads++
      if (this.isFleeting(held.file) && this.isUsedUp(held.file) && this.uncounted(held.file).length === 0) {
        held.file.buried = true
      }
    }
  }

  resume(key: string, id: string, now: number): Held | undefined {
    const held = this.leases.get(id)
    if (held === undefined || !held.attached || held.file.key !== key) return undefined
    const state = Machine.resumed(held.state, now, this.terms)
    if (state === undefined) return undefined
    this.move(held, state)
    return held
  }

  handOver({ counted, generation, id }: Catalog.Lease, now: number): boolean {
    if (counted) return true
    const held = this.leases.get(id)
    const state = held === undefined ? undefined : Machine.handedOver(held.state, generation, now)
    if (state === undefined) return false
    this.move(held!, state)
    return true
  }

  /** The receiver has the last byte now. An invariant, whatever the machine says: no more receivers than were allowed. */
  deliver({ blob, id }: Catalog.Lease): void {
    const { most, receivers } = this.ledger.get(blob)!
    receivers.add(id)
    assert.isAtMost(receivers.size, most, `${blob} was given whole to ${receivers.size} receivers`)
  }

  commit({ id }: Catalog.Lease, now: number): void {
    const held = this.leases.get(id)
    if (held !== undefined) this.move(held, Machine.committed(held.state, now, this.terms))
  }

  release({ generation, id }: Catalog.Lease, now: number, sent: number): void {
    const held = this.leases.get(id)
    if (held === undefined) return
    this.move(held, Machine.broke(held.state, generation, now, this.terms, sent))
    this.advance(now)
  }

  abandon(lease: Catalog.Lease, now: number): void {
    const held = this.leases.get(lease.id)
    if (held === undefined) return
    if (Machine.abandoned(held.state, lease.generation, now, this.terms) !== undefined) {
      return this.release(lease, now, 0)
    }
    this.leases.delete(lease.id)
    if (held.attached) held.file.attempts--
  }

  prolong({ lease: { generation, id }, sent }: Catalog.Progress, now: number): void {
    const held = this.leases.get(id)
    if (held !== undefined) this.move(held, Machine.prolonged(held.state, generation, now, this.terms, sent))
  }

  /** The only server died, and has restarted. */
  interrupt(now: number): void {
    for (const held of this.leases.values()) this.move(held, Machine.interrupted(held.state, now, this.terms))
    this.advance(now)
  }

  update(file: File, changes: Catalog.Changes, now: number): boolean {
    if (this.isGone(file, now)) return false
    file.downloads += file.pending
    file.pending = 0
    const { content } = changes
    for (const held of this.leases.values()) {
      if (held.file !== file || !held.attached) continue
      if (content !== undefined) held.attached = false
      else if (changes.expires !== undefined) held.state = { ...held.state, expires: changes.expires }
    }
    if (changes.expires !== undefined) file.expires = changes.expires
    if (changes.maxDownloads !== undefined) file.max = changes.maxDownloads
    if (changes.countFrom !== undefined) file.countFrom = changes.countFrom
    if (content !== undefined) {
      Object.assign(file, { blob: content.blob, size: content.size, downloads: 0, attempts: 0, lastAttempt: null })
    }
    this.allow(file)
    return true
  }

  remove(file: File, now: number): boolean {
    if (this.isGone(file, now)) return false
    file.removed = true
    for (const held of this.leases.values()) {
      if (held.file === file && held.attached) this.leases.delete(held.id)
    }
    return true
  }

  bury(now: number): void {
    for (const file of this.files) {
      file.downloads += file.pending
      file.pending = 0
      if (this.isGone(file, now) && this.uncounted(file).length === 0) file.buried = true
    }
  }

  /** Drops finished files, so that a long walk does not become slow. */
  forget(): void {
    const used = new Set([...this.leases.values()].map(({ file }) => file))
    for (let i = this.files.length - 1; i >= 0; i--) {
      const file = this.files[i]!
      if ((file.removed || file.buried) && file.pending === 0 && !used.has(file)) this.files.splice(i, 1)
    }
  }

  /** Complete downloads of the current content. */
  delivered({ blob }: File): number {
    return this.ledger.get(blob)!.receivers.size
  }
}
