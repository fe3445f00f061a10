/**
 * The secret with which the sender of a file deletes it, without an account. The response to an upload has it, once; the
 * catalog has only its hash. It belongs to the file, not to its content: it stays when the file is changed, and ends with the
 * file.
 */
import type * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as Crypto from "node:crypto"
import type { FileRecord } from "../../Catalog.ts"

/** Name of the header, in responses to uploads and in requests. */
export const HEADER = "delete-token"

const TOKEN_BYTES = 24

const digest = (text: string): Buffer => Crypto.hash("sha256", text, "buffer")

/** A new token. */
export const make = (random: SecureRandom.SecureRandom["Service"]): Effect.Effect<string> =>
  Effect.map(random.randomBytes(TOKEN_BYTES), (bytes) => Buffer.from(bytes).toString("base64url"))

/**
 * The token of a file that comes of a resumable upload. It follows from the upload's secret address, so that the response can be
 * repeated for a client that lost it.
 */
export const ofUpload = (id: string): string =>
  digest(`fileio delete-token of upload ${id}`).subarray(0, TOKEN_BYTES).toString("base64url")

/** What the catalog stores. A token has 192 random bits, so its hash needs no salt. */
export const hashOf = (token: string): string => digest(`fileio delete-token ${token}`).toString("hex")

/** Whether a token is the one with this hash, in constant time; `null`: the file has none. */
export const matches = (hash: string | null | undefined, token: string): boolean => {
  const given = Buffer.from(hashOf(token))
  const known = Buffer.from(hash ?? "")
  return given.length === known.length && Crypto.timingSafeEqual(given, known)
}

/** The header for a token, if it is that of the file. */
export const headers = (file: Pick<FileRecord, "deleteHash">, token: string): Readonly<Record<string, string>> =>
  matches(file.deleteHash, token) ? { [HEADER]: token } : {}

/** The token of a request. */
export const of = (request: HttpServerRequest): string | undefined => request.headers[HEADER]
