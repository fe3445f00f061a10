/**
 * A page of an account's files.
 *
 * Source: the live service sent the files as `nodes`, its documentation says `files`; both are decoded, `nodes` is
 * encoded.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { FileDetails } from "./FileDetails.ts"

/**
 * One page of files, and totals over all pages.
 *
 * @category models
 * @since 0.1.0
 */
export class FileList extends Schema.Class<FileList>("@effect-fileio/core/FileList")({
  files: Schema.Array(FileDetails),
  /** Number of matching files on all pages. Old hosts send the number on this page. */
  count: Schema.Finite,
  /** Bytes of the matching files. */
  size: Schema.optionalKey(Schema.Finite),
  /** What the next page is requested with, as `after`. Absent on the last page, and from hosts that only know `offset`. */
  next: Schema.optionalKey(Schema.String),
  screeningStatus: Schema.optionalKey(Schema.NullOr(Schema.String))
}) {}

const Wire = /* @__PURE__ */ Schema.Struct({
  nodes: Schema.optionalKey(Schema.Array(FileDetails)),
  files: Schema.optionalKey(Schema.Array(FileDetails)),
  count: Schema.optionalKey(Schema.Finite),
  size: Schema.optionalKey(Schema.Finite),
  next: Schema.optionalKey(Schema.String),
  screeningStatus: Schema.optionalKey(Schema.NullOr(Schema.String))
}).check(Schema.makeFilter((wire) => wire.nodes !== undefined || wire.files !== undefined, {
  message: "expected the files as `nodes` or `files`"
}))

/**
 * `FileList` to and from its wire form.
 *
 * @category schemas
 * @since 0.1.0
 */
export const FileListFromWire = /* @__PURE__ */ Wire.pipe(Schema.decodeTo(
  Schema.toType(FileList),
  SchemaTransformation.transform({
    decode: ({ files, nodes, ...rest }: typeof Wire.Type) => {
      const found = nodes ?? files ?? []
      return new FileList({ ...rest, files: found, count: rest.count ?? found.length })
    },
    encode: ({ count, files, next, screeningStatus, size }: FileList): typeof Wire.Type => ({
      nodes: files,
      count,
      ...(next === undefined ? {} : { next }),
      ...(size === undefined ? {} : { size }),
      ...(screeningStatus === undefined ? {} : { screeningStatus })
    })
  })
))
