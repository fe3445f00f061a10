/** Shared by the responses of several calls: the account's plan, and the details of a file. */
import type { FileDetails } from "@effect-fileio/core/FileDetails"
import type { FileListFromWire } from "@effect-fileio/core/FileList"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import type { HttpServerRequest } from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import { ApiKeys } from "../../ApiKeys.ts"
import type { FileRecord } from "../../Catalog.ts"
import { type Plan, Plans } from "../../Plans.ts"
import { Settings } from "../http/settings.ts"
import * as DeleteToken from "./deleteToken.ts"

const JSON_TYPE = "application/json; charset=utf-8"

const COMMA = Buffer.from(",")

const iso = (millis: number): string => DateTime.formatIso(DateTime.makeUnsafe(millis))
const isoOrNull = (millis: number | null): string | null => millis === null ? null : iso(millis)

const headers = Headers.fromInput({ "cache-control": "no-store", "x-content-type-options": "nosniff" })

/** A response of the contract, in its envelope. */
export const success = (body: object): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(JSON.stringify({ success: true, status: 200, ...body }), {
    contentType: JSON_TYPE,
    headers
  })

/**
 * The list of the contract. `pieces` are its files as JSON, encoded in pieces, since the whole would hold the loop for too
 * long.
 */
export const list = (
  page: Omit<typeof FileListFromWire.Encoded, "nodes">,
  pieces: ReadonlyArray<Uint8Array>
): HttpServerResponse.HttpServerResponse => {
  const envelope = JSON.stringify({ success: true, status: 200, ...page })
  const body: Array<Uint8Array> = [Buffer.from(`${envelope.slice(0, -1)},"nodes":[`)]
  for (const [at, piece] of pieces.entries()) body.push(...(at === 0 ? [] : [COMMA]), piece)
  return HttpServerResponse.uint8Array(Buffer.concat([...body, Buffer.from("]}")]), {
    contentType: JSON_TYPE,
    headers
  })
}

/** An empty owner means no key. */
export const make = Effect.gen(function*() {
  const plans = yield* Plans
  const apiKeys = yield* ApiKeys
  const { anonymousPlan, baseOf } = yield* Settings

  const planNameOf = (owner: string): string =>
    owner === "" ? anonymousPlan : Option.getOrElse(apiKeys.planOf(owner), () => "free")
  const planOf = (owner: string): Plan => plans.get(planNameOf(owner))

  /**
   * As the contract encodes `FileDetails`. To make one and encode it by its schema took a fifth of an upload's processor time.
   * `base`: that of the link.
   */
  const toDetails = (file: FileRecord, base: string): typeof FileDetails.Encoded => ({
    id: file.id,
    key: file.key,
    path: "/",
    nodeType: "file",
    name: file.name,
    title: file.title,
    description: null,
    size: file.size,
    link: `${base}/${file.key}`,
    private: false,
    expires: isoOrNull(file.expires),
    downloads: file.downloads,
    maxDownloads: file.maxDownloads,
    attempts: file.attempts,
    lastAttempt: isoOrNull(file.lastAttempt),
    countFrom: file.countFrom,
    autoDelete: file.autoDelete,
    planId: plans.get(file.plan).id,
    screeningStatus: "passed",
    mimeType: file.mimeType,
    created: iso(file.created),
    modified: iso(file.modified)
  })

  /** The details of a file, with its deletion token for those who may have it. */
  const details = (request: HttpServerRequest, file: FileRecord, token?: string) => {
    const body = toDetails(file, baseOf(request))
    return token === undefined
      ? success(body)
      : HttpServerResponse.setHeader(success({ ...body, deleteToken: token }), DeleteToken.HEADER, token)
  }

  return { planNameOf, planOf, toDetails, details }
})
