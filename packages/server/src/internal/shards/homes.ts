/**
 * Which shard has a file, an upload or an account. Keys and ids of uploads begin with the letter of their shard, except those of
 * the first one, which are as those of a catalog without shards: so files that were stored before stay where they are.
 */
import { createHash } from "node:crypto"
import { ALPHABET, LENGTH } from "../shared/key.ts"

/** Shards that letters are left for. */
export const MAX_SHARDS = ALPHABET.length

/** Length of an id of an upload without its letter. */
const UPLOAD_LENGTH = 32

/** Begin of keys and ids of uploads; the first shard is 0. */
export const prefixOf = (shard: number): string => shard === 0 ? "" : ALPHABET[shard]!

const shardOf = (text: string, length: number): number =>
  text.length === length + 1 ? Math.max(0, ALPHABET.indexOf(text[0]!)) : 0

export const shardOfKey = (key: string): number => shardOf(key, LENGTH)
export const shardOfUpload = (id: string): number => shardOf(id, UPLOAD_LENGTH)

const firstShards = (size: number): ReadonlyArray<number> => Array.from({ length: size }, (_, shard) => shard)

/**
 * The shard of a name among these (rendezvous hashing): of n shards, each gets the same part of all names, and another one takes
 * a part of each and changes nothing else.
 */
export const homeIn = (shards: ReadonlyArray<number>, name: string): number => {
  let home = 0
  let highest = ""
  for (const shard of shards) {
    const weight = createHash("sha256").update(`${shard} ${name}`).digest("hex")
    if (weight > highest) [home, highest] = [shard, weight]
  }
  return home
}

/** The shard of a name among the first `size` ones. */
export const homeAmong = (size: number, name: string): number => homeIn(firstShards(size), name)

/** All shards that an account's files can be on: its home now, and before each extension. */
export const homesOf = (sizes: ReadonlyArray<number>, owner: string): ReadonlyArray<number> =>
  owner === ""
    // Files without an account are spread by their blobs.
    ? firstShards(sizes.at(-1)!)
    : [...new Set(sizes.map((size) => homeAmong(size, owner)))].toSorted((a, b) => a - b)
