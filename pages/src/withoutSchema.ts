/**
 * In place of Effect's Schema on the page of receivers, which decodes nothing: of the classes that core makes with it, the page
 * constructs errors. They carry their fields, unchecked. A schema itself is a value that nothing reads.
 */
import * as Data from "effect/Data"

export const TaggedError = () => (tag: string) => Data.TaggedError(tag)

export const Class = () => (fields: object) =>
  class {
    static readonly fields = fields
    constructor(values: object) {
      Object.assign(this, values)
    }
  }

const schema: unknown = new Proxy(() => schema, { get: () => schema, apply: () => schema })

export {
  schema as Array,
  schema as Boolean,
  schema as brand,
  schema as Defect,
  schema as Duration,
  schema as Finite,
  schema as is,
  schema as isPattern,
  schema as Literal,
  schema as Literals,
  schema as makeFilter,
  schema as NullOr,
  schema as optionalKey,
  schema as SchemaError,
  schema as String,
  schema as Union
}
