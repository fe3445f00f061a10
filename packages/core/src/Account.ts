/**
 * The plan and state of an account, `GET /me`.
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
  /** Largest allowed file, in bytes. */
  maxUploadBytes: Schema.optionalKey(Schema.NullOr(Schema.Finite)),
  /** Allowed storage, in bytes. */
  maxStorageBytes: Schema.optionalKey(Schema.NullOr(Schema.Finite)),
  /** Used storage, in bytes. */
  usedStorageBytes: Schema.optionalKey(Schema.NullOr(Schema.Finite)),
  /** The most API calls per second that the account may make; at least 1. */
  rateLimit: Schema.optionalKey(Schema.NullOr(Schema.Finite)),
  customDomain: Schema.optionalKey(Schema.NullOr(Schema.String)),
  paymentCustomerId: Schema.optionalKey(Schema.NullOr(Schema.String)),
  paymentSubscriptionId: Schema.optionalKey(Schema.NullOr(Schema.String))
}

/**
 * An account. A field is absent or `null` if the host did not send it. `extra` holds unknown fields, and limits that no call
 * can meet, such as a `rateLimit` of 0.
 *
 * @category models
 * @since 0.1.0
 */
export class Account extends Schema.Class<Account>("@effect-fileio/core/Account")({
  ...known,
  /** Whether links give the bytes to browsers too. */
  directDownload: Schema.optionalKey(Schema.Boolean),
  /** Fields that this version does not know. */
  extra: Schema.Record(Schema.String, Schema.Json)
}) {
  /**
   * Storage left, in bytes; `undefined` if the host does not report it.
   *
   * @since 0.1.0
   */
  get storageLeft(): number | undefined {
    return this.maxStorageBytes == null || this.usedStorageBytes == null
      ? undefined
      : Math.max(0, this.maxStorageBytes - this.usedStorageBytes)
  }
}

/** Hosts write 0 or -1 for "no limit"; a limit that no call can meet counts as absent. */
const LEAST: Readonly<Record<string, number>> = {
  rateLimit: 1,
  maxUploadBytes: 1,
  maxStorageBytes: 1,
  usedStorageBytes: 0
}

const isReported = (name: string, value: unknown): boolean =>
  typeof value !== "number" || !Object.hasOwn(LEAST, name) || value >= LEAST[name]!

/** Fields of the response envelope, which say nothing about the account. */
const envelopeFields = new Set(["success", "status"])

type Wire = { readonly [name: string]: unknown }

const decode = (wire: Wire): typeof Account.Encoded => {
  const account: Record<string, unknown> = {}
  const extra: Array<readonly [string, unknown]> = []
  for (const name of Object.keys(wire)) {
    const value = wire[name]
    if (Object.hasOwn(known, name) && isReported(name, value)) account[name] = value
    else if (name === "directDownload") {
      if (value !== null) account[name] = isScalar(value) ? !NO.has(String(value).toLowerCase()) : value
    } else if (!envelopeFields.has(name)) extra.push([name, value])
  }
  // Unlike an assignment, this treats `__proto__` as an ordinary name.
  account["extra"] = Object.fromEntries(extra)
  // The schema checks the fields later.
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
export const AccountFromWire = /* @__PURE__ */ Schema.Record(Schema.String, Schema.Unknown).pipe(Schema.decodeTo(
  Account,
  SchemaTransformation.transform({ decode, encode })
))
