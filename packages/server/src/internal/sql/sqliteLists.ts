/** The statements of a page of SQLite's files, listed or found. */
import * as Record from "effect/Record"
import type { ListOptions } from "../../FileListing.ts"
import * as Listing from "./listing.ts"
import { EXPIRED, fold, USED_UP } from "./rows.ts"
import type { Values } from "./sqlite.ts"
import { FLEETING } from "./sqliteFiles.ts"
import type { Statement } from "./sqliteReader.ts"

/** The same as a set: few files have ended and are not swept yet, so the rest need not be checked row by row. */
const GONE_OF_OWNER = `(
  SELECT seq FROM files WHERE owner = :owner AND ${FLEETING} AND ${EXPIRED}
  UNION SELECT seq FROM files WHERE owner = :owner AND ${FLEETING} AND ${USED_UP})`

/**
 * Names have at most 255 bytes, so that comparing at each position, as SQLite does, is fast enough; a function of ours takes
 * four times as long.
 */
const FOUND = "instr(folded_name, :search) > 0"

const COUNT = `
  SELECT coalesce((SELECT files FROM usage WHERE owner = :owner), 0) - count(*) AS count,
    coalesce((SELECT bytes FROM usage WHERE owner = :owner), 0) - coalesce(sum(size), 0) AS size
  FROM files WHERE seq IN ${GONE_OF_OWNER}`

const COUNT_FOUND = `
  SELECT count(*) AS count, coalesce(sum(size), 0) AS size FROM files
  WHERE owner = :owner AND ${FOUND} AND seq NOT IN ${GONE_OF_OWNER}`

/** The files of a page, and then the number and the bytes of all matching files. */
export const statements = (options: ListOptions, now: number): readonly [Statement, Statement] => {
  const { after, limit, offset, owner, search } = options
  const order = Listing.orderOf(options)
  const matching: Values = { owner, now, ...(search === undefined ? {} : { search: fold(search) }) }
  const where = `owner = :owner AND seq NOT IN ${GONE_OF_OWNER} ${search === undefined ? "" : `AND ${FOUND}`}`
  // Only the rows of the page are read whole: in the orders that have an index, `offset` skips the others there, and the other
  // orders sort less.
  const rows = (condition: string, skip = "") =>
    `SELECT * FROM files WHERE seq IN (SELECT seq FROM files WHERE ${where} ${condition} ${order} LIMIT :limit ${skip}) ${order}`
  const page: Statement = after === undefined
    ? { text: rows("", "OFFSET :offset"), values: { ...matching, limit, offset } }
    : {
      text: Listing.pageAfter({ ...options, after }, rows),
      values: {
        ...matching,
        limit,
        ...Record.map(Listing.valuesAfter(after), (value) => typeof value === "boolean" ? Number(value) : value)
      }
    }
  return [page, { text: search === undefined ? COUNT : COUNT_FOUND, values: matching }]
}
