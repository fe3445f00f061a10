/**
 * The plan and the state of an account, `GET /me`.
 *
 * Source of the fields: the reference wrapper's documentation, the service's OpenAPI page, a Swagger description.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

const known = {
  /** Identifier of the plan. */
  planId: Schema.optionalKey(Schema.NullOr(Schema.Union([Schema.Finite, Schema.String]))),
  /** Largest file of the plan, in bytes. */
  maxUploadBytes: Schema.optionalKey(Schema.NullOr(Schema.Finite)),
  /** Storage of the plan, in bytes. */
  maxStorageBytes: Schema.optionalKey(Schema.NullOr(Schema.Finite)),
  /** Storage in use, in bytes. */
  usedStorageBytes: Schema.optionalKey(Schema.NullOr(Schema.Finite)),
  /** The most API calls that the account may make in a second. */
  rateLimit: Schema.optionalKey(Schema.NullOr(Schema.Finite)),
  customDomain: Schema.optionalKey(Schema.NullOr(Schema.String)),
  paymentCustomerId: Schema.optionalKey(Schema.NullOr(Schema.String)),
  paymentSubscriptionId: Schema.optionalKey(Schema.NullOr(Schema.String))
}

/**
 * An account. An absent or `null` field was not told by the host; what is not known here is kept in `extra`.
 *
 * @category models
 * @since 0.1.0
 */
export class Account extends Schema.Class<Account>("@effect-fileio/core/Account")({
  ...known,
  /** Whether links give the bytes to browsers too. */
  directDownload: Schema.optionalKey(Schema.Boolean),
  /** Fields that the host sent and this version does not know. */
  extra: Schema.Record(Schema.String, Schema.Json)
}) {
  /**
   * Bytes of storage that are left; `undefined` when the host does not tell.
   *
   * @since 0.1.0
   */
  get storageLeft(): number | undefined {
    return this.maxStorageBytes == null || this.usedStorageBytes == null
      ? undefined
      : Math.max(0, this.maxStorageBytes - this.usedStorageBytes)
  }
}

const Wire = Schema.StructWithRest(
  Schema.Struct({
    ...known,
    directDownload: Schema.optionalKey(Schema.NullOr(Schema.Union([Schema.Boolean, Schema.Finite, Schema.String])))
  }),
  [Schema.Record(Schema.String, Schema.Json)]
)

const names = new Set<string>([...Object.keys(known), "directDownload", "success", "status"])

const decode = (wire: typeof Wire.Type): Account => {
  const entries = Object.entries(wire)
  const { directDownload } = wire
  return new Account(
    {
      ...Object.fromEntries(entries.filter(([name]) => Object.hasOwn(known, name))),
      ...(directDownload === undefined || directDownload === null
        ? {}
        : { directDownload: !["0", "false", "", "no"].includes(String(directDownload).toLowerCase()) }),
      extra: Object.fromEntries(entries.filter(([name]) => !names.has(name))) as Record<string, Schema.Json>
    },
    // The wire's schema has checked the fields.
    { disableChecks: true }
  )
}

const encode = ({ directDownload, extra, ...rest }: Account): typeof Wire.Type => ({
  ...extra,
  ...rest,
  ...(directDownload === undefined ? {} : { directDownload: directDownload ? 1 : 0 })
})

/**
 * `Account` to and from its wire form, where `directDownload` is 0 or 1, or a string.
 *
 * @category schemas
 * @since 0.1.0
 */
export const AccountFromWire = Wire.pipe(Schema.decodeTo(
  Schema.toType(Account),
  SchemaTransformation.transform({
    decode: (wire: typeof Wire.Type) => decode(wire),
    encode: (account: Account) => encode(account)
  })
))
