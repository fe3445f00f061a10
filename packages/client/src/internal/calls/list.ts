/** The call that lists the account's files, a page at a time. */
import type { FileDetails } from "@effect-fileio/core/FileDetails"
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as FileList from "@effect-fileio/core/FileList"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { ListAllOptions, ListOptions } from "../../FileIoModels.ts"
import * as Span from "../observe/span.ts"
import * as Response from "../request/response.ts"
import { ask } from "./jsonCall.ts"
import { callOf, type Client, invalid, isCount, requireKey } from "./shared.ts"

/** A page of the list, and the host's clock at the response. */
export interface Page {
  readonly list: FileList.FileList
  readonly hostTime: number | undefined
}

/** Requests one page; the calls that look for a file use it too. */
export type GetPage = (options: ListOptions) => Effect.Effect<Page, FileIoError.FileIoError>

const readList = /* @__PURE__ */ Response.json(FileList.FileListFromWire)

export const makeGetPage = (client: Client): GetPage =>
  Effect.fnUntraced(function*(options) {
    yield* requireKey(client, "list")
    if (options.offset !== undefined && !isCount(options.offset, 0)) {
      return yield* invalid("list", "offset", "allowed: a whole number from 0")
    }
    if (options.limit !== undefined && !isCount(options.limit, 1)) {
      return yield* invalid("list", "limit", "allowed: a whole number from 1")
    }
    if (options.sort !== undefined && !/^-?[A-Za-z]+$/.test(options.sort)) {
      return yield* invalid(
        "list",
        "sort",
        "allowed: the name of a field, such as name, or -created to reverse the order"
      )
    }
    const query = new URLSearchParams()
    for (const name of ["search", "sort", "offset", "limit", "after"] as const) {
      if (options[name] !== undefined) query.set(name, String(options[name]))
    }
    const text = query.toString()
    return yield* ask(client, {
      call: callOf(client, "list"),
      method: "GET",
      path: text === "" ? "/" : `/?${text}`,
      read: (call, response) =>
        Effect.map(readList(call, response), (list): Page => {
          const hostTime = Date.parse(response.headers["date"] ?? "")
          return { list, hostTime: Number.isNaN(hostTime) ? undefined : hostTime }
        })
    })
  })

export const make = (getPage: GetPage) =>
  Span.fn("FileIo.list", "list", (options?: ListOptions) => Effect.map(getPage(options ?? {}), ({ list }) => list))

/** Keys that are remembered: more than are ever passed over again, unless thousands of files go between two pages. */
const RECENT = 10_000
const DEFAULT_PAGE = 100
/** Hosts take no larger `limit`. */
const MAX_LIMIT = 1000
/** Pages without a new file after which a listing ends: a host that ignores `offset` sends its first page every time. */
const MAX_IDLE = 3

/** How far a listing has come. */
interface Position {
  /** Where the next page begins, if no file has gone since. */
  readonly offset: number
  /** What the host continues behind, if it says so. */
  readonly after: string | undefined
  /** The count of the previous page. */
  readonly count: number
  /** How many pages before it had nothing new. */
  readonly idle: number
}

/** Keys of the files that were given, the latest ones. */
const makeSeen = (limit: number) => {
  const keys = new Set<string>()
  return {
    has: (key: string): boolean => keys.has(key),
    add: (files: ReadonlyArray<FileDetails>): ReadonlyArray<FileDetails> => {
      const found = files.filter(({ key }) => !keys.has(key))
      for (const { key } of found) keys.add(key)
      for (const key of keys) {
        if (keys.size <= Math.max(RECENT, 2 * limit)) break
        keys.delete(key)
      }
      return found
    }
  }
}

/**
 * Lists everything by pages. A host that names the position behind a page (`next`) is asked for what comes after it. At others,
 * a file that goes between two pages moves those behind it forward, past the next offset. So a page begins with the last file
 * of the previous one; where it does not, the listing goes back, by what `count` has lost or else further and further, until it
 * meets a file that it has given, or the beginning. Files that were given are passed over.
 */
export const makeAll = (getPage: GetPage) => (options?: ListAllOptions) =>
  Stream.suspend(() => {
    const { offset: start = 0, pageSize = DEFAULT_PAGE, ...rest } = options ?? {}
    const seen = makeSeen(pageSize)

    const pageAt = Effect.fnUntraced(function*({ count: before, offset }: Position) {
      const limit = offset === start || pageSize >= MAX_LIMIT ? pageSize : pageSize + 1
      let at = Math.max(start, offset - 1)
      for (let step = 1;; step *= 2) {
        const { count, files, next: after } = (yield* getPage({ ...rest, offset: at, limit })).list
        if (at === start || (files.length > 0 && seen.has(files[0]!.key))) return { after, at, count, files, limit }
        at = Math.max(start, at - Math.max(step, step === 1 ? before - count : 0))
      }
    })

    const pageAfter = (position: Position, after: string) =>
      Effect.map(getPage({ ...rest, after, limit: pageSize }), ({ list: { files, next } }) => {
        const found = seen.add(files)
        const idle = found.length > 0 ? 0 : position.idle + 1
        const isLast = next === undefined || idle > MAX_IDLE
        return [found, isLast ? Option.none() : Option.some({ ...position, after: next, idle })] as const
      })

    const next = Effect.fnUntraced(function*(
      position: Position
    ): Effect.fn.Return<readonly [ReadonlyArray<FileDetails>, Option.Option<Position>], FileIoError.FileIoError> {
      if (position.after !== undefined) return yield* pageAfter(position, position.after)
      const { after, at, count, files, limit } = yield* pageAt(position)
      const found = seen.add(files)
      const offset = at + files.length
      const isShort = files.length < limit
      const idle = found.length > 0 ? 0 : position.idle + 1
      // `count` covers all pages on some hosts and one page on others, so it only counts on a short page.
      const isCounted = count > files.length || at === 0 || idle > 0
      const isLast = after === undefined && (idle > MAX_IDLE || (isShort && isCounted && offset >= count))
      return [found, isLast ? Option.none() : Option.some({ offset, count, idle, after })]
    })

    return Stream.paginate(
      { offset: start, after: undefined, count: 0, idle: 0 } as Position,
      Span.fn("FileIo.listAll", "list", next)
    )
  })
