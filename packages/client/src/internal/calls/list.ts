/** The call that lists the account's files, a page at a time. */
import type { FileDetails } from "@effect-fileio/core/FileDetails"
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import * as FileList from "@effect-fileio/core/FileList"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { ListAllOptions, ListOptions } from "../../FileIo.ts"
import * as Span from "../observe/span.ts"
import * as Response from "../request/response.ts"
import { ask } from "./json.ts"
import { callOf, type Client, invalid, isCount, requireKey } from "./shared.ts"

/** A page of the list, and the host's clock at the response. */
export interface Page {
  readonly list: FileList.FileList
  readonly hostTime: number | undefined
}

/** Requests one page; the calls that look for a file use it too. */
export type GetPage = (options: ListOptions) => Effect.Effect<Page, FileIoError.FileIoError>

const readList = Response.json(FileList.FileListFromWire)

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
    for (const name of ["search", "sort", "offset", "limit"] as const) {
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

/** Offset of a page in the list, and the first key of the previous page. */
interface Position {
  readonly offset: number
  readonly first: string | undefined
}

export const makeAll = (getPage: GetPage) => (options?: ListAllOptions) =>
  Stream.paginate(
    { offset: options?.offset ?? 0, first: undefined } as Position,
    Span.fn(
      "FileIo.listAll",
      "list",
      Effect.fnUntraced(function*(
        { first, offset }: Position
      ): Effect.fn.Return<readonly [ReadonlyArray<FileDetails>, Option.Option<Position>], FileIoError.FileIoError> {
        const { pageSize, ...rest } = options ?? {}
        const limit = pageSize ?? 100
        const { count, files } = (yield* getPage({ ...rest, offset, limit })).list
        const key = files[0]?.key
        // A host that ignores `offset` sends the first page every time.
        if (key === undefined || key === first) return [[], Option.none()]
        const next = offset + files.length
        // `count` covers all pages on some hosts and one page on others, so it only counts on a short page.
        const isLast = files.length < limit && (count > files.length || offset === 0) && next >= count
        return [files, isLast ? Option.none() : Option.some({ offset: next, first: key })]
      })
    )
  )
