/**
 * How the host is reached: proxies, certificates, headers, a unix socket. Flags override variables, variables override
 * the file.
 */
import type * as FileIo from "@effect-fileio/client/FileIo"
import * as Variable from "@effect-fileio/core/Variable"
import type * as NodeFileIo from "@effect-fileio/platform-node/NodeFileIo"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { pathToFileURL } from "node:url"
import { local, usage } from "./problem.ts"
import * as Settings from "./settings.ts"

type Headers = NonNullable<FileIo.Options["headers"]>

/** Headers from a file: lines of `Name: value`. */
const readHeaders = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const text = yield* Effect.mapError(
    fs.readFileString(path),
    (error) => local(`cannot read the headers in ${path}`, "Check the path and its permissions.", error)
  )
  return yield* parseHeaders(text, path)
})

const parseHeaders = (text: string, from: string) => {
  const headers = Variable.headers(text)
  return Result.isSuccess(headers)
    ? Effect.succeed(headers.success)
    : Effect.fail(usage(`the headers of ${from} cannot be read`, `Allowed: ${headers.failure}.`))
}

/** `--header 'Name: value'`, or `--header @FILE`, which others on the machine cannot see. */
const headersOf = Effect.fnUntraced(function*(flags: ReadonlyArray<string>) {
  let headers: Headers = {}
  for (const flag of flags) {
    const more = flag.startsWith("@") ? yield* readHeaders(flag.slice(1)) : yield* parseHeaders(flag, "--header")
    headers = { ...headers, ...more }
  }
  return headers
})

const file = (path: string | undefined) => path === undefined ? undefined : pathToFileURL(path)

/**
 * Settings that the flags and the file add to the variables. Headers, a client certificate and a unix socket are only
 * for the configured host.
 */
export const options = Effect.fnUntraced(function*(
  settings: Settings.Settings,
  baseUrl: string,
  variables: NodeFileIo.Options
) {
  const flags = yield* Settings.CurrentNetworkFlags
  const isConfigured = Settings.normalize(baseUrl) === Settings.normalize(settings.baseUrl.value)
  const stored = settings.file.hosts?.[Settings.normalize(baseUrl)]
  const proxy = flags.proxy ?? (variables.proxy === undefined ? settings.file.proxy : undefined)
  const own = isConfigured
    ? {
      cert: file(flags.cert) ?? variables.tls?.cert ?? file(stored?.clientCert),
      key: file(flags.certKey) ?? variables.tls?.key ?? file(stored?.clientKey),
      passphrase: variables.tls?.passphrase
    }
    : { cert: file(stored?.clientCert), key: file(stored?.clientKey) }
  const tls = { ca: file(flags.cacert) ?? variables.tls?.ca ?? file(settings.file.caCert), ...own }
  const headers: Headers = {
    ...(stored?.headerFile === undefined ? {} : yield* readHeaders(stored.headerFile)),
    ...(isConfigured ? variables.headers : {}),
    ...(isConfigured ? yield* headersOf(flags.header) : {})
  }
  return {
    ...variables,
    headers,
    proxy: proxy === undefined ? variables.proxy : proxy.trim() === "none" ? false as const : Redacted.make(proxy),
    tls: Object.values(tls).every((value) => value === undefined) ? undefined : tls,
    socketPath: isConfigured ? flags.unixSocket ?? variables.socketPath : undefined
  }
})

/** An absolute path of an existing file, as the configuration stores it. */
export const stored = Effect.fnUntraced(function*(name: string, path: string) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const absolute = paths.resolve(path)
  if (yield* Effect.orElseSucceed(fs.exists(absolute), () => false)) return absolute
  return yield* usage(`${name}: there is no file ${absolute}`, "Nothing was stored. Check the path.")
})
