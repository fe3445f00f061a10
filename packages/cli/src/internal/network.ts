/** How the host is reached: proxies, certificates, headers, a unix socket. */
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

const at = (path: string | undefined) => path === undefined ? undefined : pathToFileURL(path)

const proxyOf = (text: string | undefined) =>
  text === undefined ? undefined : text.trim() === "none" ? false as const : Redacted.make(text)

/**
 * Settings that the flags and the file add to the variables. Headers, a client certificate and a unix socket are only
 * for the configured host.
 */
export const options = Effect.fnUntraced(function*(
  settings: Settings.Settings,
  baseUrl: string,
  variables: NodeFileIo.Options
) {
  const given = yield* Settings.CurrentNetworkFlags
  const { file } = settings
  const isConfigured = Settings.normalize(baseUrl) === Settings.normalize(settings.baseUrl.value)
  const stored = file.hosts?.[Settings.normalize(baseUrl)]
  const { first } = Settings
  const flags = isConfigured ? given : undefined
  const ofHost = isConfigured ? variables : undefined
  const tls = {
    ca: first({ flag: at(given.cacert), variable: variables.tls?.ca, file: at(file.caCert) })?.value,
    cert: first({ flag: at(flags?.cert), variable: ofHost?.tls?.cert, file: at(stored?.clientCert) })?.value,
    key: first({ flag: at(flags?.certKey), variable: ofHost?.tls?.key, file: at(stored?.clientKey) })?.value,
    passphrase: ofHost?.tls?.passphrase
  }
  // Where two sources have a header of the same name, the first one counts.
  const headers: Headers = {
    ...(stored?.headerFile === undefined ? {} : yield* readHeaders(stored.headerFile)),
    ...ofHost?.headers,
    ...yield* headersOf(flags?.header ?? [])
  }
  const proxy = first<NodeFileIo.Options["proxy"]>({
    flag: proxyOf(given.proxy),
    variable: variables.proxy,
    file: proxyOf(file.proxy)
  })
  return {
    ...variables,
    headers,
    proxy: proxy?.value,
    tls: Object.values(tls).every((value) => value === undefined) ? undefined : tls,
    socketPath: first({ flag: flags?.unixSocket, variable: ofHost?.socketPath })?.value
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
