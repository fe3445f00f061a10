/**
 * An operator's commands about files: over a socket in the data folder while a server runs on it, and on the catalog itself
 * otherwise. Only one process may change a catalog in a folder, and only its owner can open the socket.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"
import * as Fs from "node:fs/promises"
import { createServer, request } from "node:http"
import { text } from "node:stream/consumers"
import type { Blobs, BlobsError } from "../../Blobs.ts"
import { Catalog, type CatalogError, type FileRecord } from "../../Catalog.ts"
import { DataFolder } from "../../DataFolder.ts"
import { SortField } from "../../FileListing.ts"
import { Leases } from "../handlers/leases.ts"
import * as Digest from "../ops/digest.ts"
import { Journal } from "../ops/journal.ts"

/** A file, as an operator sees it. Times are milliseconds since 1970; an empty account means no key. */
export const File = Schema.Struct({
  key: Schema.String,
  id: Schema.String,
  owner: Schema.String,
  plan: Schema.String,
  name: Schema.String,
  title: Schema.NullOr(Schema.String),
  mimeType: Schema.String,
  size: Schema.Number,
  created: Schema.Number,
  modified: Schema.Number,
  expires: Schema.NullOr(Schema.Number),
  downloads: Schema.Number,
  maxDownloads: Schema.NullOr(Schema.Number),
  attempts: Schema.Number,
  lastAttempt: Schema.NullOr(Schema.Number)
})
export type File = typeof File.Type

export const Command = Schema.TaggedUnion({
  ListFiles: {
    owner: Schema.String,
    search: Schema.optionalKey(Schema.String),
    sort: SortField,
    descending: Schema.Boolean,
    offset: Schema.Number,
    limit: Schema.Number
  },
  ShowFile: { key: Schema.String },
  /** The SHA-256 of its bytes; reading them does not count as a download. */
  Digest: { key: Schema.String },
  DeleteFile: { key: Schema.String },
  Usage: { owners: Schema.Array(Schema.String) }
})
export type Command = typeof Command.Type

/** The matching files, and the number and bytes of all of them, or of each owner's. */
export const Result = Schema.Struct({
  files: Schema.Array(File),
  digest: Schema.optionalKey(Schema.String),
  usage: Schema.Array(Schema.Struct({ files: Schema.Number, bytes: Schema.Number }))
})
export type Result = typeof Result.Type

/** The server, or the catalog, cannot run the command. */
export class ControlError extends Schema.TaggedError<ControlError>("@effect-fileio/server/internal/ControlError")(
  "ControlError",
  { problem: Schema.String, cause: Schema.optionalKey(Schema.Defect()) }
) {
  override get message() {
    return this.problem
  }
}

const FEW = 1

/** What an operator sees of a file: neither its place in the store, nor the hash of its deletion token. */
const shown = (file: FileRecord): File => Struct.pick(file, Struct.keys(File.fields))

/** Runs a command. Deleting a file breaks its downloads from this process. */
export const run = Effect.fnUntraced(function*(
  command: Command,
  audit: Journal["Service"]["audit"]
): Effect.fn.Return<Result, CatalogError | BlobsError, Catalog | Blobs> {
  const catalog = yield* Catalog
  const find = (key: string) => Effect.map(catalog.get(key), (file) => Option.toArray(file).map(shown))
  switch (command._tag) {
    case "ListFiles": {
      const { files, count, size } = yield* catalog.list(command)
      return { files: files.map(shown), usage: [{ files: count, bytes: size }] }
    }
    case "ShowFile":
      return { files: yield* find(command.key), usage: [] }
    case "Digest": {
      const record = yield* catalog.get(command.key)
      const digest = yield* Effect.forEach(Option.toArray(record), ({ blob }) => Digest.ofBlob(blob))
      return { files: yield* find(command.key), usage: [], ...(digest[0] === undefined ? {} : { digest: digest[0] }) }
    }
    case "DeleteFile": {
      const files = yield* find(command.key)
      for (const { key, owner } of files) {
        if (yield* catalog.remove(key, owner)) {
          yield* audit(key, { event: "delete", account: owner, by: "operator" })
        }
      }
      const leases = yield* Effect.serviceOption(Leases)
      if (Option.isSome(leases)) yield* leases.value.endOf(command.key)
      return { files, usage: [] }
    }
    case "Usage": {
      const usage = yield* Effect.forEach(command.owners, (owner) =>
        Effect.map(
          catalog.list({ owner, sort: "created", descending: true, offset: 0, limit: FEW }),
          ({ count, size }) => ({ files: count, bytes: size })
        ))
      return { files: [], usage }
    }
  }
})

const socketOf = (folder: string): string => `${folder}/control.sock`

const decodeCommand = Schema.decodeUnknownEffect(Schema.fromJsonString(Command))
const encodeResult = Schema.encodeEffect(Schema.fromJsonString(Result))

/** Listens on the socket. A server works without one too: on a system without unix sockets, or in a folder with a long path. */
export const serve = Effect.gen(function*() {
  const { path } = yield* DataFolder
  const { audit } = yield* Journal
  const socket = socketOf(path)
  // The socket of a killed server: this one holds the lock of the folder.
  yield* Effect.promise(() => Fs.rm(socket, { force: true }))
  const server = yield* NodeHttpServer.make(() => createServer({ requestTimeout: 10_000 }), {
    path: socket,
    gracefulShutdownTimeout: 0
  })
  yield* Effect.promise(() => Fs.chmod(socket, 0o600))
  yield* server.serve(
    Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) => request.text).pipe(
      Effect.flatMap(decodeCommand),
      Effect.flatMap((command) => run(command, audit)),
      Effect.flatMap(encodeResult),
      Effect.map((result) => HttpServerResponse.text(result)),
      Effect.catch((error) => Effect.succeed(HttpServerResponse.text(error.message, { status: 500 })))
    )
  )
}).pipe(
  Effect.catch((error) =>
    Effect.logWarning(
      "no control socket in the data folder: fileio-server files works only while no server runs",
      error
    )
  )
)

/** Sends a command to the server that runs on the folder; `undefined` if none does. */
export const ask = Effect.fnUntraced(function*(folder: string, command: Command) {
  const result = yield* Effect.tryPromise({
    try: () =>
      new Promise<{ readonly isOk: boolean; readonly body: string } | undefined>((resolve, reject) => {
        const call = request({ socketPath: socketOf(folder), method: "POST", path: "/", timeout: 60_000 }, (response) =>
          text(response).then((body) => resolve({ isOk: response.statusCode === 200, body }), reject))
        call.on("timeout", () =>
          call.destroy(new Error("it did not respond within a minute")))
        call.on("error", (error) =>
          "code" in error && (error.code === "ENOENT" || error.code === "ECONNREFUSED")
            ? resolve(undefined)
            : reject(error))
        call.end(JSON.stringify(command))
      }),
    catch: (cause) => new ControlError({ problem: `the server that runs on ${folder} cannot be asked`, cause })
  })
  if (result === undefined) return Option.none<Result>()
  if (!result.isOk) return yield* new ControlError({ problem: `the server cannot do this: ${result.body}` })
  return Option.some(yield* Effect.orDie(Schema.decodeUnknownEffect(Schema.fromJsonString(Result))(result.body)))
})
