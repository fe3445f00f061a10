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
  /** The most API calls that the account may make in a second; at least 1. */
  rateLimit: Schema.optionalKey(Schema.NullOr(Schema.Finite)),
  customDomain: Schema.optionalKey(Schema.NullOr(Schema.String)),
  paymentCustomerId: Schema.optionalKey(Schema.NullOr(Schema.String)),
  paymentSubscriptionId: Schema.optionalKey(Schema.NullOr(Schema.String))
}

/**
 * An account. An absent or `null` field was not told by the host; what is not known here is kept in `extra`, and so is a
 * limit that nothing can meet, such as a `rateLimit` of 0.
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

/** Hosts write 0 or -1 where they tell no limit; a limit that nothing can meet is taken for none that was told. */
const LEAST: Readonly<Record<string, number>> = {
  rateLimit: 1,
  maxUploadBytes: 1,
  maxStorageBytes: 1,
  usedStorageBytes: 0
}

const isTold = (name: string, value: unknown): boolean =>
  typeof value !== "number" || !Object.hasOwn(LEAST, name) || value >= LEAST[name]!

/** What is told of every answer, and nothing of the account. */
const ofEveryAnswer = new Set(["success", "status"])

type Wire = { readonly [name: string]: unknown }

const decode = (wire: Wire): typeof Account.Encoded => {
  const account: Record<string, unknown> = {}
  const extra: Array<readonly [string, unknown]> = []
  for (const name of Object.keys(wire)) {
    const value = wire[name]
    if (Object.hasOwn(known, name) && isTold(name, value)) account[name] = value
    else if (name === "directDownload") {
      if (value !== null) account[name] = isScalar(value) ? !NO.has(String(value).toLowerCase()) : value
    } else if (!ofEveryAnswer.has(name)) extra.push([name, value])
  }
  // Unlike an assignment, this takes `__proto__` for a name like any other.
  account["extra"] = Object.fromEntries(extra)
  // What the fields are is checked where they go.
  return account as typeof Account.Encoded
}

const isScalar = (value: unknown): boolean =>
  typeof value === "boolean" || typeof value === "string" || Number.isFinite(value)

const NO = new Set(["0", "false", "", "no"])

const encode = ({ directDownload, extra, ...rest }: typeof Account.Encoded): Wire => ({
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
export const AccountFromWire = Schema.Record(Schema.String, Schema.Unknown).pipe(Schema.decodeTo(
  Account,
  SchemaTransformation.transform({ decode, encode })
))
