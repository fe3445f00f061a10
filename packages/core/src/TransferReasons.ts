/**
 * The reasons of an error of a transfer: its source, its destination, a break midway, and decryption. Use them as
 * `FileIoError.SourceFailed` and so on.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { visible } from "./PlainText.ts"

const cause = { cause: Schema.optionalKey(Schema.Defect()) }

/**
 * The source of an upload could not be read, or does not match its declared size or type.
 *
 * @category reasons
 * @since 0.1.0
 */
export class SourceFailed extends Schema.TaggedError<SourceFailed>()("SourceFailed", {
  /** Path of the file, if there is one. */
  path: Schema.optionalKey(Schema.String),
  problem: Schema.String,
  /** Whether the file became longer while it was sent; the option `snapshot` sends what it had at the start. */
  hasGrown: Schema.optionalKey(Schema.Boolean),
  ...cause
}) {
  get isRetryable() {
    return false
  }
  override get message() {
    const what = this.path ?? "the source"
    const advice = this.hasGrown === true
      ? "`snapshot` sends what it had at the start, a stream what comes"
      : "check that it is readable and does not change during the upload"
    return `cannot read ${what}: ${this.problem}; ${advice}`
  }
}

/**
 * The destination of a download could not be written.
 *
 * @category reasons
 * @since 0.1.0
 */
export class DestinationFailed extends Schema.TaggedError<DestinationFailed>()("DestinationFailed", {
  /** Path of the destination. */
  path: Schema.String,
  problem: Schema.String,
  /** Files with the received bytes, in the order in which they join to the whole file. */
  parts: Schema.optionalKey(Schema.Array(Schema.String)),
  /** Bytes in `parts`. */
  bytesDone: Schema.optionalKey(Schema.Finite),
  bytesExpected: Schema.optionalKey(Schema.Finite),
  ...cause
}) {
  get isRetryable() {
    return false
  }
  override get message() {
    const done = this.parts === undefined || this.parts.length === 0
      ? ""
      : this.parts.length === 1
      ? `; the received bytes are in ${this.parts[0]}`
      : `; the received bytes are in ${this.parts.join(" and ")}, join them in this order`
    return `cannot write ${this.path}: ${this.problem}; check the folder, its permissions and its free space${done}`
  }
}

/**
 * A transfer broke after it had begun.
 *
 * @category reasons
 * @since 0.1.0
 */
export class TransferInterrupted extends Schema.TaggedError<TransferInterrupted>()("TransferInterrupted", {
  bytesDone: Schema.Finite,
  bytesExpected: Schema.optionalKey(Schema.Finite),
  /** Path of the part file. */
  partPath: Schema.optionalKey(Schema.String),
  /** Whether the rest can be requested: the host sent a validator and accepts ranges. */
  resumable: Schema.Boolean,
  problem: Schema.String,
  ...cause
}) {
  get isRetryable() {
    return false
  }
  override get message() {
    const of = this.bytesExpected === undefined ? "" : ` of ${this.bytesExpected.toLocaleString("en-US")}`
    const part = this.partPath === undefined ? "" : `; the received bytes are in ${this.partPath}`
    const resume = this.resumable ? "; it can be resumed" : "; it cannot be resumed, only begun again"
    return `the transfer broke after ${
      this.bytesDone.toLocaleString("en-US")
    }${of} bytes: ${this.problem}${part}${resume}`
  }
}

/**
 * Why an encrypted file cannot be decrypted. `otherKey`: it is for another key or passphrase. `notEncrypted`: it is no file in
 * the age format. `malformed`: its header cannot be parsed. `workFactor`: checking its passphrase takes more memory than is
 * allowed or free here. `changed`: its bytes are not those that were encrypted. `cut`: its end is missing.
 *
 * @category models
 * @since 0.1.0
 */
export const DecryptionProblem = /* @__PURE__ */ Schema.Literals([
  "otherKey",
  "notEncrypted",
  "malformed",
  "workFactor",
  "changed",
  "cut"
])

/**
 * @category models
 * @since 0.1.0
 */
export type DecryptionProblem = typeof DecryptionProblem.Type

const DECRYPTION_PROBLEMS: Record<DecryptionProblem, readonly [problem: string, advice: string]> = {
  otherKey: ["it is encrypted for another key or passphrase", "ask the sender which one opens it"],
  notEncrypted: ["it is not encrypted in the age format", "ask the sender for the right link"],
  workFactor: ["to check its passphrase takes more memory than is allowed or free here", "use a machine with more"],
  malformed: ["its header cannot be read", "ask the sender to send it again"],
  changed: ["its bytes are not those that were encrypted", "ask the sender to send it again"],
  cut: ["its end is missing", "ask the sender to send it again"]
}

/**
 * An encrypted file was received and cannot be decrypted. The caller got no unauthenticated bytes. After a download to disk,
 * the file is kept at `encryptedPath` as it arrived, so that the right key can still decrypt it if it is intact; a large file for
 * another key is not fetched whole where the host can resume, and `partPath` names the part with which the right key continues.
 *
 * @category reasons
 * @since 0.1.0
 */
export class DecryptionFailed extends Schema.TaggedError<DecryptionFailed>()("DecryptionFailed", {
  problem: DecryptionProblem,
  /** Details of what is wrong; never a key or a byte of the file. */
  detail: Schema.optionalKey(Schema.String),
  /** Bytes of the file that arrived and were authentic. */
  bytesDone: Schema.optionalKey(Schema.Finite),
  /** Path of the encrypted file. */
  encryptedPath: Schema.optionalKey(Schema.String),
  /** Path of the part, if the download stopped at the header: the same call with the right key continues it. */
  partPath: Schema.optionalKey(Schema.String),
  ...cause
}) {
  get isRetryable() {
    return false
  }
  /** Whether the file that arrived is whole and encrypted, as far as known, so that the right key can still decrypt it. */
  get isIntact() {
    return this.problem === "otherKey" || this.problem === "workFactor" || this.problem === "malformed"
  }
  override get message() {
    const detail = this.detail === undefined ? "" : ` (${this.detail})`
    const [problem, advice] = DECRYPTION_PROBLEMS[this.problem]
    const kept = this.encryptedPath === undefined
      ? this.partPath === undefined
        ? ""
        : `; the rest was not fetched, and the same call with the right key continues with the part ${this.partPath}`
      : this.isIntact
      ? `; the encrypted file is kept as ${this.encryptedPath}, the right key opens it: age -d -i KEYFILE`
      : `; it is kept as ${this.encryptedPath}, as it arrived`
    return visible(`the file cannot be decrypted: ${problem}${detail}; ${advice}${kept}`)
  }
}
