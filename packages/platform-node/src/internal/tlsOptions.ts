/** Reads and checks certificates and keys, so that errors show before a connection is made. */
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { X509Certificate } from "node:crypto"
import { readFileSync } from "node:fs"
import * as NodeTls from "node:tls"
import type { Pem, Tls } from "../NodeHttp.ts"
import type { TlsSettings } from "./connect.ts"

interface Problem {
  readonly field: string
  readonly problem: string
}

class Unreadable extends Error {
  readonly field: string
  constructor(field: string, problem: string) {
    super(problem)
    this.field = field
  }
}

const reasonOf = (cause: unknown): string =>
  cause instanceof Error && "code" in cause && typeof cause.code === "string" ? ` (${cause.code})` : ""

/** The path as the system writes it. */
const pathOf = (cause: unknown): string | undefined =>
  cause instanceof Error && "path" in cause && typeof cause.path === "string" ? cause.path : undefined

const contentOf = (pem: Pem, field: string): string => {
  if (typeof pem === "string") return pem
  if (pem instanceof Uint8Array) return Buffer.from(pem).toString("latin1")
  if (!(pem instanceof URL)) throw new Unreadable(field, "allowed: PEM as text or bytes, or a file: URL")
  try {
    return readFileSync(pem, "latin1")
  } catch (cause) {
    throw new Unreadable(
      field,
      `cannot read ${pathOf(cause) ?? pem.href}${reasonOf(cause)}`
    )
  }
}

const CERTIFICATE =
  /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]*?-----END (?:TRUSTED |X509 )?CERTIFICATE-----/g

const certificatesOf = (pem: Pem, field: string): ReadonlyArray<string> => {
  const found = contentOf(pem, field).match(CERTIFICATE) ?? []
  if (found.length === 0) throw new Unreadable(field, "it holds no certificate; allowed: one or more in PEM")
  for (const certificate of found) {
    try {
      // oxlint-disable-next-line no-new -- its constructor is the check
      new X509Certificate(certificate)
    } catch (cause) {
      throw new Unreadable(field, `a certificate in it cannot be read${reasonOf(cause)}`)
    }
  }
  return found
}

const isList = (ca: Pem | ReadonlyArray<Pem>): ca is ReadonlyArray<Pem> => Array.isArray(ca)

/** The options as `node:tls` takes them. */
export const read = (tls: Tls): Result.Result<TlsSettings, Problem> => {
  try {
    const { ca, cert, key, passphrase, rejectUnauthorized, servername } = tls
    if ((cert === undefined) !== (key === undefined)) {
      throw new Unreadable(cert === undefined ? "tls.cert" : "tls.key", "a client certificate needs both cert and key")
    }
    const given = ca === undefined ? [] : isList(ca) ? ca : [ca]
    const options: TlsSettings = {
      ...(given.length === 0
        ? {}
        : { ca: [...NodeTls.getCACertificates("default"), ...given.flatMap((one) => certificatesOf(one, "tls.ca"))] }),
      ...(cert === undefined ? {} : { cert: certificatesOf(cert, "tls.cert").join("\n") }),
      ...(key === undefined ? {} : { key: contentOf(Redacted.isRedacted(key) ? Redacted.value(key) : key, "tls.key") }),
      ...(passphrase === undefined ? {} : { passphrase: Redacted.value(passphrase) }),
      ...(servername === undefined ? {} : { servername }),
      ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized })
    }
    try {
      NodeTls.createSecureContext(options)
    } catch (cause) {
      throw new Unreadable(
        "tls.key",
        `the key cannot be read, or does not belong to the certificate; check the passphrase too${reasonOf(cause)}`
      )
    }
    return Result.succeed(options)
  } catch (error) {
    if (error instanceof Unreadable) return Result.fail({ field: error.field, problem: error.message })
    throw error
  }
}
