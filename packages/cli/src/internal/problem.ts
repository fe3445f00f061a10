/** Failures as the command line shows them: what failed, and what to do. */
import type * as FileIoError from "@effect-fileio/core/FileIoError"
import type { InvalidOption } from "@effect-fileio/core/InvalidOption"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as ExitCode from "../ExitCode.ts"
import type * as JsonLine from "../JsonLine.ts"
import * as Text from "./text.ts"

type Details = Pick<
  typeof JsonLine.Error.Type,
  "copy" | "stored" | "retryAfterMillis" | "bytesDone" | "bytesExpected" | "parts"
>

/** A failure of this program, or one of the SDK converted for the command line. */
export class Problem extends Data.TaggedError("Problem")<{
  readonly exitCode: ExitCode.ExitCode
  readonly reason: string
  /** What failed; one line without a full stop. */
  readonly what: string
  /** What to do; whole sentences. */
  readonly advice: string
  readonly details?: Details | undefined
  readonly cause?: unknown
}> {}

/** Everything has been shown already; only the exit code is left. */
export class Reported extends Data.TaggedError("Reported")<{ readonly exitCode: ExitCode.ExitCode }> {}

export const usage = (what: string, advice: string): Problem =>
  new Problem({ exitCode: 2, reason: "Usage", what, advice })

export const local = (what: string, advice: string, cause?: unknown): Problem =>
  new Problem({ exitCode: 8, reason: "Local", what, advice, cause })

const VERDICT_OF_COPY = {
  kept: "The file is still on the host.",
  consumed: "The host has counted the download.",
  absent: "No copy was used up.",
  unknown: "Whether the host still has the file is unknown."
} as const

const VERDICT_OF_STORED = {
  no: "Nothing was stored on the host.",
  unknown: "It may have been stored on the host: see \"fileio list\" before you send it again."
} as const

/** Options of the SDK, as flags and settings of the command line. */
const FLAGS: Readonly<Record<string, string>> = {
  "tls.ca": "--cacert",
  "tls.cert": "--cert",
  "tls.key": "--cert-key",
  identities: "--identity",
  passphrase: "--passphrase"
}

const hostCode = (code: string | undefined): string => code === undefined ? "" : ` (${code})`
const SET_HOST = "Check the host: --base-url, FILEIO_BASE_URL, or \"fileio config set base-url URL\"."
const ENDED =
  "Its service ended in 2026. Run a host, \"fileio serve\", and name it: --base-url, FILEIO_BASE_URL, or \"fileio config set base-url URL\"."
const later = (after: Duration.Duration | undefined): string =>
  after === undefined
    ? "Try again later."
    : Duration.isZero(after)
    ? "Try again."
    : `Try again in ${Text.seconds(Duration.toMillis(after))}.`
const amount = (limit: string, value: number): string =>
  limit.endsWith("Bytes")
    ? Text.bytes(value)
    : limit === "expires"
    ? Text.life(value)
    : value.toLocaleString("en-US")
/** The host's own message, to append. */
const detailOf = (detail: string | undefined): string => detail === undefined ? "" : `: ${detail}`

const joined = (parts: ReadonlyArray<string>): string =>
  parts.length === 1
    ? `The received bytes are in ${parts[0]}.`
    : `The received bytes are in ${parts.join(" and ")}; join them in this order.`

interface Words {
  readonly what: string
  readonly advice: string
  readonly details?: Details
}

const unreachable = (reason: FileIoError.Unreachable): Words => {
  const { host, proxy, retryAfter } = reason
  const code = hostCode(reason.code)
  if (reason.sent === "unknown") {
    return { what: `the connection to ${host} broke before a response${code}`, advice: "Check the network." }
  }
  switch (reason.problem) {
    case "certificate":
      return {
        what: `the certificate of ${host} cannot be trusted${code}`,
        advice:
          "If a private certificate authority signed it, add it: --cacert FILE, FILEIO_CA_CERT or NODE_EXTRA_CA_CERTS."
      }
    case "clientCertificate":
      return {
        what: `${host} wants a client certificate that it trusts${code}`,
        advice: "Give one: --cert FILE and --cert-key FILE, or FILEIO_CLIENT_CERT and FILEIO_CLIENT_KEY."
      }
    case "noTls":
      return {
        what: `${host} does not speak TLS at this port${code}`,
        advice: `If it serves plain HTTP, begin its address with http://. ${SET_HOST}`
      }
    case "proxyAuthentication":
      return {
        what: `the proxy ${proxy ?? ""} wants another user and password, or any${code}`,
        advice: "Give them in its address: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT."
      }
    case "network":
      return proxy === undefined
        ? {
          what: `cannot connect to ${host}${code}`,
          advice: reason.isEnded
            ? ENDED
            : retryAfter === undefined
            ? `${SET_HOST} Check the network.`
            : later(retryAfter)
        }
        : {
          what: `cannot connect to ${host} through the proxy ${proxy}${code}`,
          advice: "Check the proxy (HTTPS_PROXY, HTTP_PROXY, --proxy); \"--proxy none\" connects without one."
        }
  }
}

/** How to resume a broken download; `undefined` if that is impossible. */
export type Resume = (part: string) => string

const timedOut = (reason: FileIoError.TimedOut, resume: Resume | undefined): Words => {
  const what = { connect: "no connection", firstByte: "no response", idle: "no more bytes" }[reason.phase]
  const variable = {
    connect: "FILEIO_CONNECT_TIMEOUT",
    firstByte: "FILEIO_FIRST_BYTE_TIMEOUT",
    idle: "FILEIO_IDLE_TIMEOUT"
  }[reason.phase]
  const part = reason.partPath
  const go = part === undefined
    ? ""
    : reason.resumable === true && resume !== undefined
    ? ` Resume soon: ${resume(part)}`
    : ` The received bytes are in ${part}.`
  return {
    what: `${what} within ${Duration.format(reason.after)}`,
    advice: `Check the network, or raise ${variable}.${go}`,
    details: {
      ...(reason.bytesDone === undefined ? {} : { bytesDone: reason.bytesDone }),
      ...(part === undefined ? {} : { parts: [part] })
    }
  }
}

const transferInterrupted = (reason: FileIoError.TransferInterrupted, resume: Resume | undefined): Words => {
  const of = reason.bytesExpected === undefined ? "" : ` of ${Text.bytes(reason.bytesExpected)}`
  const part = reason.partPath
  return {
    what: `the transfer broke after ${Text.bytes(reason.bytesDone)}${of}: ${reason.problem}`,
    advice: part === undefined
      ? "Ask the sender to share it again."
      : reason.resumable && resume !== undefined
      ? `The received bytes are in ${part}; resume soon: ${resume(part)}`
      : `The received bytes are in ${part}; the download cannot be resumed.`,
    details: {
      bytesDone: reason.bytesDone,
      ...(reason.bytesExpected === undefined ? {} : { bytesExpected: reason.bytesExpected }),
      ...(part === undefined ? {} : { parts: [part] })
    }
  }
}

const unauthorized = (reason: FileIoError.Unauthorized, operation: FileIoError.Operation): Words => {
  const detail = detailOf(reason.detail)
  if (reason.status === 403) {
    return {
      what: `the host does not allow this to the account (403)${detail}`,
      advice: "See \"fileio me\" for what its plan allows."
    }
  }
  const advice = "Set it with \"fileio config set key\", or in FILEIO_API_KEY"
  if (!reason.isKeyMissing) return { what: `the host does not accept the API key (401)${detail}`, advice: `${advice}.` }
  if (reason.hadToken === true) {
    return { what: `the host takes no deletion token here, so this needs an API key${detail}`, advice: `${advice}.` }
  }
  return {
    what: `this needs an API key${detail}`,
    advice: operation === "delete"
      ? `${advice}; or give the token of the upload in FILEIO_DELETE_TOKEN.`
      : `${advice}.`
  }
}

const wordsOf = (error: FileIoError.FileIoError, resume: Resume | undefined): Words => {
  const { reason } = error
  switch (reason._tag) {
    case "Unauthorized":
      return unauthorized(reason, error.operation)
    case "FileNotFound":
      return {
        what: "no such file: it was never there, has expired, was deleted, or was taken already",
        advice: reason.hadToken === true && reason.askedHost === undefined
          ? "If it is still there, the deletion token is not its own: check both."
          : reason.askedHost === undefined
          ? "Check the key, or ask the sender to share it again."
          : `The link names another host than the one asked, ${reason.askedHost}: leave --base-url out.`
      }
    case "RateLimited":
      return {
        what: "too many calls for this account",
        advice: later(reason.retryAfter),
        ...(reason.retryAfter === undefined
          ? {}
          : { details: { retryAfterMillis: Duration.toMillis(reason.retryAfter) } })
      }
    case "PlanLimit": {
      const asked = reason.asked === undefined ? "" : `, asked ${amount(reason.limit, reason.asked)}`
      const allowed = reason.allowed === undefined ? "" : `, allowed ${amount(reason.limit, reason.allowed)}`
      return {
        what: `beyond the plan's ${reason.limit}${asked}${allowed}${detailOf(reason.detail)}`,
        advice: "Ask for less, or delete files: see \"fileio me\" and \"fileio list\"."
      }
    }
    case "InvalidRequest":
      return { what: `invalid ${FLAGS[reason.field] ?? reason.field}: ${reason.problem}`, advice: "Correct it." }
    case "DownloadInProgress":
      return {
        what: "somebody else is downloading it",
        advice: `${later(reason.retryAfter)} It is available again only if that download breaks.`,
        ...(reason.retryAfter === undefined
          ? {}
          : { details: { retryAfterMillis: Duration.toMillis(reason.retryAfter) } })
      }
    case "ServerFailure":
      return {
        what: `the host failed (${reason.status}${reason.code === undefined ? "" : ` ${reason.code}`})`,
        advice: later(reason.retryAfter)
      }
    case "Unreachable":
      return unreachable(reason)
    case "TimedOut":
      return timedOut(reason, resume)
    case "NotAnApi":
      return {
        what: `${reason.host} does not speak the file.io API: it ${
          reason.location === undefined
            ? `responded ${reason.status} with ${reason.contentType ?? "no content type"}`
            : `redirects (${reason.status}) to ${reason.location}`
        }`,
        advice: reason.isEnded ? ENDED : SET_HOST
      }
    case "DirectDownloadUnavailable":
      return {
        what: "the host shows a page instead of giving the bytes",
        advice: `Open ${reason.page} in a browser.`
      }
    case "UnexpectedResponse":
      return {
        what: `the host's response (${reason.status}) is not what the API promises: ${reason.problem}`,
        advice: SET_HOST
      }
    case "SourceFailed":
      return {
        what: `cannot read ${reason.path ?? "the source"}: ${reason.problem}`,
        advice: reason.hasGrown === true
          ? "Add --snapshot to send what it has at the start, or send what it has now through a pipe, with the same options: cat FILE | fileio upload -."
          : "Check its path and permissions, and that nothing changes it during the upload."
      }
    case "DestinationFailed":
      return {
        what: `cannot write ${reason.path}: ${reason.problem}`,
        advice: reason.parts === undefined || reason.parts.length === 0
          ? "Check the folder, its permissions and its free space, or give another --output."
          : joined(reason.parts),
        details: {
          ...(reason.parts === undefined ? {} : { parts: reason.parts }),
          ...(reason.bytesDone === undefined ? {} : { bytesDone: reason.bytesDone }),
          ...(reason.bytesExpected === undefined ? {} : { bytesExpected: reason.bytesExpected })
        }
      }
    case "TransferInterrupted":
      return transferInterrupted(reason, resume)
    case "DecryptionFailed": {
      const { partPath } = reason
      const path = reason.encryptedPath ?? partPath
      return {
        what: `it cannot be decrypted: ${DECRYPTION[reason.problem]}${
          reason.detail === undefined ? "" : ` (${reason.detail})`
        }`,
        advice: path === undefined
          ? "Ask the sender which key opens it, or to send it again."
          : path === partPath
          ? `The rest was not fetched. Give the right key with the same command: it continues with ${path}.`
          : reason.isIntact
          ? `The encrypted file is kept as ${path}; the right key opens it: age -d -i KEYFILE ${Text.quoted(path)}`
          : `It is kept as ${path}, as it arrived. Ask the sender to send it again.`,
        details: path === undefined ? {} : { parts: [path] }
      }
    }
  }
}

const DECRYPTION: Record<FileIoError.DecryptionProblem, string> = {
  otherKey: "it is for another key or passphrase",
  notEncrypted: "it is not encrypted in the age format",
  workFactor: "to check its passphrase takes more memory than is allowed or free here",
  malformed: "its header cannot be read",
  changed: "its bytes are not those that were encrypted",
  cut: "its end is missing"
}

/** Converts a wrong option of the SDK, which is a flag, a setting or a variable of the command line. */
export const fromInvalidOption = ({ option, problem }: InvalidOption): Problem =>
  usage(`invalid ${FLAGS[option] ?? option}: ${problem}`, option === "baseUrl" ? SET_HOST : "Correct it.")

/** Converts an error of the SDK for the command line. For a download the advice starts with what became of the copy. */
export const fromError = (error: FileIoError.FileIoError, resume?: Resume): Problem => {
  const { advice, details, what } = wordsOf(error, resume)
  const verdict = error.operation === "download"
    ? error.reason._tag === "FileNotFound" && error.copy === "unknown"
      ? "The response that was lost before may have used up the copy."
      : VERDICT_OF_COPY[error.copy ?? "kept"]
    : error.stored === undefined
    ? ""
    : VERDICT_OF_STORED[error.stored]
  return new Problem({
    exitCode: ExitCode.ofError(error),
    reason: error.reason._tag,
    what,
    advice: verdict === "" ? advice : `${verdict} ${advice}`,
    details: {
      ...details,
      ...(error.copy === undefined ? {} : { copy: error.copy }),
      ...(error.stored === undefined ? {} : { stored: error.stored })
    },
    cause: error
  })
}
