/**
 * The pages of a listing, for both catalogs: their statements, and the position at which the next one continues.
 *
 * A page continues by key: after the value and the number of the last row, so that the rows before it are not read again, and a
 * file that goes meanwhile moves nothing. `seq` is the number of a row, by which rows with the same value are ordered.
 */
import type { FileRecord } from "../../Catalog.ts"
import type { ListedFile, ListOptions, Position, SortField } from "../../FileListing.ts"
import { fold, type Row, toRecord } from "./rows.ts"

/** The column that a listing is sorted by. */
const COLUMNS = {
  id: "id",
  key: "key",
  name: "folded_name",
  title: "title",
  size: "size",
  mimeType: "mime_type",
  expires: "expires",
  downloads: "downloads",
  maxDownloads: "max_downloads",
  autoDelete: "auto_delete",
  created: "created",
  modified: "modified"
} as const

/** Orders in which an index has the files of each account. */
const INDEXED: ReadonlySet<SortField> = new Set(["created", "name", "size", "expires"])

/** Whether a page needs all files of the account, not only those before and in it. */
export const readsAll = ({ search, sort }: Pick<ListOptions, "search" | "sort">): boolean =>
  search !== undefined || !INDEXED.has(sort)

/** An absent value is the least of all. */
const NULLABLE: ReadonlySet<SortField> = new Set(["title", "expires", "maxDownloads"])

const valueOf = (file: FileRecord, sort: SortField): Position["value"] => sort === "name" ? fold(file.name) : file[sort]

export const positionOf = (file: ListedFile, sort: SortField): Position => ({
  value: valueOf(file, sort),
  seq: file.seq,
  shard: file.shard
})

/** The order of a listing, without that of rows with the same value. */
export const compare = (one: FileRecord, other: FileRecord, sort: SortField): number => {
  const [a, b] = [valueOf(one, sort), valueOf(other, sort)]
  if (a === b) return 0
  if (a === null || b === null) return a === null ? -1 : 1
  // Databases compare the bytes of UTF-8.
  return typeof a === "string" ? Buffer.compare(Buffer.from(a), Buffer.from(b as string)) : a < b ? -1 : 1
}

export const toListed = (row: Row): ListedFile => ({ ...toRecord(row), seq: Number(row["seq"]), shard: 0 })

type Order = Pick<ListOptions, "after" | "descending" | "sort">

export const orderOf = ({ descending, sort }: Order): string => {
  const direction = descending ? "DESC" : "ASC"
  // Without nulls an index in the usual order will do.
  const nulls = !NULLABLE.has(sort) ? "" : descending ? " NULLS LAST" : " NULLS FIRST"
  return `ORDER BY ${COLUMNS[sort]} ${direction}${nulls}, seq ${direction}`
}

/**
 * The rows behind `after`, each part from one range of an index. `rows` selects those that meet a further condition, in the
 * order of the listing, at most `:limit`. Values: `:limit`, `:value`, `:seq`.
 */
export const pageAfter = (
  options: Order & { readonly after: Position },
  rows: (condition: string) => string
): string => {
  const { after, descending, sort } = options
  const column = COLUMNS[sort]
  const order = orderOf(options)
  const isNullable = NULLABLE.has(sort)
  const sign = descending ? "<" : ">"
  const isNull = `AND ${column} IS NULL`
  const ties = `${isNull} AND seq ${sign} :seq`
  if (after.value === null) {
    return descending ? rows(ties) : union([rows(ties), rows(`AND ${column} IS NOT NULL`)], order)
  }
  const behind = rows(`AND (${column}, seq) ${sign} (:value, :seq)`)
  return descending && isNullable ? union([behind, rows(isNull)], order) : behind
}

/** Some rows more than a page, in the order of the page. */
const union = (parts: ReadonlyArray<string>, order: string): string =>
  `SELECT * FROM (${
    parts.map((part, at) => `SELECT * FROM (${part}) AS part${at}`).join(" UNION ALL ")
  }) AS parts ${order} LIMIT :limit`

/** The values of `pageAfter`. */
export const valuesAfter = ({ seq, value }: Position): Readonly<Record<string, string | number | boolean>> => ({
  seq,
  ...(value === null ? {} : { value })
})
