/**
 * Checks that databases are the shards of one catalog, in their recorded order, and records it where shards are new. `PgCatalog`
 * calls this before it uses any of them.
 *
 * Each database records its own id and those of all, also one that is a whole catalog: so it is known, when others are added,
 * that its accounts may have files there, even those that a server with only this address adds afterwards. New shards are
 * recorded in two steps: first every database records the new set, then that all have done so (`confirmed`). So a start that
 * crashes in between is continued by the next one, and a database that was confirmed and has lost its record is noticed.
 */
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import { CatalogError } from "../../Catalog.ts"
import type { Identity, Recorded, ShardSet } from "../sql/pgIdentity.ts"
import { MAX_SHARDS } from "./homes.ts"

interface Member {
  readonly where: string
  /** Absent if the database cannot be reached. */
  readonly identity: Identity | undefined
}

interface State {
  readonly where: string
  /** Absent if the database cannot be reached. */
  readonly found: { readonly recorded: Recorded | undefined; readonly isEmpty: boolean } | undefined
}

/** The set of these databases, and whether all have recorded it; or why they are none. */
type Plan = { readonly set: ShardSet; readonly isRecorded: boolean } | { readonly problem: string }

const sameStart = (one: ReadonlyArray<string>, other: ReadonlyArray<string>): boolean =>
  one.every((id, at) => at >= other.length || id === other[at])

const isSame = (one: ShardSet, other: ShardSet): boolean =>
  one.ids.length === other.ids.length && one.confirmed === other.confirmed && one.sizes.length === other.sizes.length

/** `newIds` are for shards that have none yet. */
const plan = (states: ReadonlyArray<State>, newIds: ReadonlyArray<string>): Plan => {
  const recorded = states.flatMap(({ found }) => found?.recorded === undefined ? [] : [found.recorded])
  const [known] = recorded.map(({ set }) => set)
    .toSorted((a, b) => b.ids.length - a.ids.length || b.confirmed - a.confirmed || b.sizes.length - a.sizes.length)
  const ids = known?.ids ?? []
  const confirmed = known?.confirmed ?? 0
  const numberOf = (at: number) => `address ${at + 1} (${states[at]!.where})`

  const stranger = states.findIndex(({ found }) =>
    found?.recorded !== undefined && !sameStart(found.recorded.set.ids, ids)
  )
  if (stranger >= 0) {
    return {
      problem: `${
        numberOf(stranger)
      } is a shard of another catalog; a new shard needs a database that no server has used`
    }
  }
  if (states.length < ids.length) {
    return { problem: `the catalog has ${ids.length} shards; give the addresses of all of them, in their order` }
  }
  for (const [at, { found }] of states.entries()) {
    if (found === undefined) {
      if (at >= confirmed || states.length > ids.length) {
        return { problem: `${numberOf(at)} cannot be reached; new shards are added while all can be` }
      }
    } else if (found.recorded !== undefined) {
      const position = ids.indexOf(found.recorded.id)
      if (position !== at) {
        return { problem: `${numberOf(at)} is shard ${position + 1}; give the addresses in their order` }
      }
    } else if (at < confirmed) {
      return { problem: `${numberOf(at)} is not shard ${at + 1} of the catalog: it has no record of that` }
    } else if (at > 0 && !found.isEmpty) {
      return { problem: `${numberOf(at)} has files of another catalog; only the first shard may have files before` }
    }
  }
  const first = states[0]!.found
  // It was the whole catalog of a server that did not record that.
  const wasAlone = first !== undefined && first.recorded === undefined && !first.isEmpty
  const sizes = [...new Set([...(wasAlone ? [1] : []), ...(known?.sizes ?? [])])]
  if (known === undefined || states.length > ids.length) {
    const added = newIds.slice(0, states.length - ids.length)
    return {
      set: { ids: [...ids, ...added], sizes: [...new Set([...sizes, states.length])], confirmed },
      isRecorded: false
    }
  }
  const agree = states.every(({ found }) =>
    found === undefined || (found.recorded !== undefined && isSame(found.recorded.set, known))
  )
  // The second step.
  if (agree && confirmed < ids.length) return { set: { ...known, sizes, confirmed: ids.length }, isRecorded: false }
  return { set: { ...known, sizes }, isRecorded: agree }
}

const refused = (problem: string) =>
  new CatalogError({ cause: new Error(problem), problem: `FILEIO_SERVER_CATALOG: ${problem}` })

const MAX_STEPS = 5

/** The set of these databases; fails if they are none. */
export const agree = Effect.fnUntraced(
  function*(members: ReadonlyArray<Member>, random: SecureRandom.SecureRandom["Service"]) {
    if (members.length > MAX_SHARDS) return yield* refused(`a catalog has at most ${MAX_SHARDS} shards`)
    const [first] = members
    const newIds = yield* Effect.all(members.map(() => random.uuidV4()))
    const read = Effect.flatMap(
      Effect.forEach(members, ({ identity, where }): Effect.Effect<State, CatalogError> =>
        identity === undefined
          ? Effect.succeed({ where, found: undefined })
          : Effect.map(
            Effect.all({ recorded: identity.recorded, isEmpty: identity.isEmpty }, { concurrency: 2 }),
            (found) => ({ where, found })
          ), { concurrency: "unbounded" }),
      (states) => {
        const planned = plan(states, newIds)
        return "problem" in planned ? Effect.fail(refused(planned.problem)) : Effect.succeed(planned)
      }
    )
    // The last ones first, so that the first one, by which starts take turns, knows of no shard that does not know itself.
    const step = Effect.gen(function*() {
      const { isRecorded, set } = yield* read
      if (isRecorded) return
      for (const [at, { identity, where }] of [...members.entries()].toReversed()) {
        if (identity === undefined) return yield* refused(`${where} cannot be reached, and has to record a change`)
        yield* identity.write({ id: set.ids[at]!, set })
      }
    })
    for (let steps = 0; steps < MAX_STEPS; steps++) {
      const { isRecorded, set } = yield* read
      if (isRecorded) return set
      if (first!.identity === undefined) {
        return yield* refused(`${first!.where} cannot be reached, and has to record a change`)
      }
      yield* first!.identity.exclusive(step)
    }
    return yield* refused("the databases do not keep what they record")
  }
)
