/** The settings, and the order of their sources (`first`): flags, `FILEIO_…` variables, the file, the default. */
import * as FileIo from "@effect-fileio/client/FileIo"
import { makeFolder } from "@effect-fileio/client/Platform"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import type { PlatformError } from "effect/PlatformError"
import * as ChildProcess from "effect/process/ChildProcess"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { local, type Problem, usage } from "./problem.ts"
import { Stdio } from "./stdio.ts"

/**
 * Content of the file. Keys belong to hosts: a key is never sent to a host other than the one for which it was stored.
 */
export const File = Schema.Struct({
  baseUrl: Schema.optionalKey(Schema.String),
  expires: Schema.optionalKey(Schema.String),
  maxDownloads: Schema.optionalKey(Schema.String),
  /** Whether uploads are encrypted: `link` or `none`. */
  encrypt: Schema.optionalKey(Schema.String),
  /** A proxy for every host; it may hold a password. */
  proxy: Schema.optionalKey(Schema.String),
  /** Path of the certificate authorities to trust, for every host. */
  caCert: Schema.optionalKey(Schema.String),
  hosts: Schema.optionalKey(Schema.Record(
    Schema.String,
    Schema.Struct({
      apiKey: Schema.optionalKey(Schema.String),
      apiKeyCommand: Schema.optionalKey(Schema.String),
      headerFile: Schema.optionalKey(Schema.String),
      clientCert: Schema.optionalKey(Schema.String),
      clientKey: Schema.optionalKey(Schema.String)
    })
  ))
})

export type File = typeof File.Type

/** The sources of a setting, in their order. */
const SOURCES = ["flag", "variable", "file", "default"] as const

export type From = typeof SOURCES[number]

export interface Value<A = string> {
  readonly value: A
  readonly from: From
}

/** The value of the first source that has one. */
export const first = <A>(sources: { readonly [K in From]?: A | undefined }): Value<A> | undefined => {
  for (const from of SOURCES) {
    const value = sources[from]
    if (value !== undefined) return { value, from }
  }
  return undefined
}

/** How a message names the source of a setting. */
export const sourceOf = (name: string, from: From): string =>
  from === "flag"
    ? `--${name}`
    : from === "variable"
    ? `FILEIO_${name.toUpperCase().replaceAll("-", "_")}`
    : `${name} of the settings`

export interface Settings {
  readonly path: string
  readonly file: File
  readonly baseUrl: Value
  readonly expires: Value | undefined
  readonly maxDownloads: Value | undefined
  readonly encrypt: Value | undefined
  /** The source of the configured host's key; never the key. */
  readonly key: Value | undefined
  /** How the configured host is reached, by the names of `fileio config set`; never a password. */
  readonly network: ReadonlyArray<readonly [name: string, value: Value | undefined]>
}

/** The `--base-url` flag. */
export const BaseUrlFlag = Context.Reference<string | undefined>("@effect-fileio/cli/BaseUrlFlag", {
  defaultValue: () => undefined
})

/** The network flags. */
export interface NetworkFlags {
  readonly cacert: string | undefined
  readonly cert: string | undefined
  readonly certKey: string | undefined
  readonly proxy: string | undefined
  readonly header: ReadonlyArray<string>
  readonly unixSocket: string | undefined
}

export const CurrentNetworkFlags = Context.Reference<NetworkFlags>("@effect-fileio/cli/NetworkFlags", {
  defaultValue: () => ({
    cacert: undefined,
    cert: undefined,
    certKey: undefined,
    proxy: undefined,
    header: [],
    unixSocket: undefined
  })
})

/** A variable without surrounding white space; `undefined` if nothing is left. */
const present = (value: string | undefined): string | undefined => value?.trim() || undefined

/** The normalised address, a key of `hosts`. */
export const normalize = (baseUrl: string): string => {
  try {
    const url = new URL(baseUrl)
    return `${url.protocol}//${url.host}${url.pathname.replace(/\/+$/, "")}`
  } catch {
    return baseUrl
  }
}

const folder = Effect.gen(function*() {
  const { env, home, platform } = yield* Stdio
  const path = yield* Path.Path
  if (platform === "win32") return path.join(present(env["APPDATA"]) ?? path.join(home, "AppData", "Roaming"), "fileio")
  if (platform === "darwin") return path.join(home, "Library", "Application Support", "fileio")
  const given = present(env["XDG_CONFIG_HOME"])
  return path.join(given !== undefined && path.isAbsolute(given) ? given : path.join(home, ".config"), "fileio")
})

/** The folder of notes about unfinished uploads. */
export const notesFolder = Effect.gen(function*() {
  const { env, home, platform } = yield* Stdio
  const path = yield* Path.Path
  if (platform === "win32" || platform === "darwin") return path.join(yield* folder, "state")
  const given = present(env["XDG_STATE_HOME"])
  return path.join(given !== undefined && path.isAbsolute(given) ? given : path.join(home, ".local", "state"), "fileio")
})

export const filePath = Effect.gen(function*() {
  const { env } = yield* Stdio
  const path = yield* Path.Path
  return present(env["FILEIO_CONFIG"]) ?? path.join(yield* folder, "config.json")
})

const decodeFile = Schema.decodeUnknownEffect(Schema.fromJsonString(File))
const encodeFile = Schema.encodeEffect(Schema.fromJsonString(File, { space: 2 }))

const holdsSecret = (file: File): boolean =>
  file.proxy?.includes("@") === true || Object.values(file.hosts ?? {}).some(({ apiKey }) => apiKey !== undefined)

const read = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const { platform } = yield* Stdio
  const text = yield* fs.readFileString(path).pipe(
    Effect.catchIf((error) => error.reason._tag === "NotFound", () => Effect.succeed("{}")),
    Effect.mapError((error) => local(`cannot read ${path}`, "Check its permissions.", error))
  )
  const file = yield* Effect.mapError(
    // Windows editors write a byte-order mark.
    decodeFile(text.replace(/^\uFEFF/, "")),
    // The decoder's message may contain the file's content, so it is dropped.
    () =>
      local(`${path} is not a configuration of fileio`, "Correct it, or move it away and run \"fileio config set\".")
  )
  if (holdsSecret(file) && platform !== "win32") {
    const info = yield* Effect.mapError(fs.stat(path), (error) => local(`cannot read ${path}`, "Check it.", error))
    if ((info.mode & 0o077) !== 0) {
      return yield* local(`${path} holds a secret and can be read by others`, `Run: chmod 600 ${path}`)
    }
  }
  return file
})

/** The target of a path, also through a link, whether or not it exists. */
const followed = Effect.fnUntraced(function*(path: string) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  return yield* fs.realPath(path).pipe(
    Effect.catch(() => Effect.map(fs.readLink(path), (to) => paths.resolve(paths.dirname(path), to))),
    Effect.orElseSucceed(() => path)
  )
})

/** Replaces the file atomically, readable by its owner only. */
export const write = Effect.fnUntraced(function*(given: string, file: File) {
  const fs = yield* FileSystem.FileSystem
  const paths = yield* Path.Path
  const path = yield* followed(given)
  const text = yield* Effect.orDie(encodeFile(file))
  const failed = (error: PlatformError) =>
    local(`cannot write ${path}`, "Check the folder, its permissions and its free space.", error)
  yield* Effect.gen(function*() {
    yield* makeFolder(paths.dirname(path), { mode: 0o700 })
    const temporary = yield* fs.makeTempFileScoped({ directory: paths.dirname(path), prefix: ".config-" })
    yield* fs.chmod(temporary, 0o600)
    yield* Effect.scoped(Effect.gen(function*() {
      const handle = yield* fs.open(temporary, { flag: "w", mode: 0o600 })
      yield* handle.writeAll(new TextEncoder().encode(`${text}\n`))
      yield* handle.sync
    }))
    yield* fs.rename(temporary, path)
  }).pipe(Effect.scoped, Effect.mapError(failed))
})

type Env = Stdio["env"]
type StoredHost = NonNullable<File["hosts"]>[string] | undefined

/** The network settings that are set. */
const networkOf = (
  env: Env,
  flags: NetworkFlags,
  file: File,
  stored: StoredHost
): Settings["network"] => {
  const one = (flag: string | undefined, variable: string, inFile: string | undefined) =>
    first({ flag, variable: present(env[variable]), file: inFile })
  const proxy = one(flags.proxy, "FILEIO_PROXY", file.proxy)
  // Headers of all sources are sent; where two have the same name, that of the first.
  const headers = [
    first({ flag: flags.header.length > 0 ? "set" : undefined }),
    first({ variable: present(env["FILEIO_HEADERS"]) && "set" }),
    first({ file: stored?.headerFile })
  ].filter((value) => value !== undefined)
  return [
    ["proxy", proxy && { ...proxy, value: withoutPassword(proxy.value) }],
    ["ca-cert", one(flags.cacert, "FILEIO_CA_CERT", file.caCert)],
    ["client-cert", one(flags.cert, "FILEIO_CLIENT_CERT", stored?.clientCert)],
    ["client-key", one(flags.certKey, "FILEIO_CLIENT_KEY", stored?.clientKey)],
    ...(headers.length === 0 ? [undefined] : headers).map((value) => ["header-file", value] as const),
    ["unix-socket", one(flags.unixSocket, "FILEIO_SOCKET_PATH", undefined)]
  ]
}

/** A proxy without its password, for display. */
export const withoutPassword = (proxy: string): string => proxy.replace(/^((?:\w+:)?\/\/)?[^@]*@/, "$1<redacted>@")

/** A key, or the command that prints it. */
type KeySource = { readonly key: string } | { readonly command: string }

const keySource = (env: Env, stored: StoredHost): Value<KeySource> | undefined => {
  const one = (key: string | undefined, command: string | undefined): KeySource | undefined =>
    key !== undefined ? { key } : command !== undefined ? { command } : undefined
  return first({
    variable: one(present(env["FILEIO_API_KEY"]), present(env["FILEIO_API_KEY_COMMAND"])),
    file: one(stored?.apiKey, stored?.apiKeyCommand)
  })
}

export const resolve = Effect.gen(function*() {
  const { env } = yield* Stdio
  const flag = yield* BaseUrlFlag
  const path = yield* filePath
  const file = yield* read(path)
  const fallback = { value: FileIo.DEFAULT_BASE_URL, from: "default" } as const
  const baseUrl = first({ flag, variable: present(env["FILEIO_BASE_URL"]), file: file.baseUrl }) ?? fallback
  const stored = file.hosts?.[normalize(baseUrl.value)]
  const key = keySource(env, stored)
  const settings: Settings = {
    path,
    file,
    baseUrl,
    expires: first({ variable: present(env["FILEIO_EXPIRES"]), file: file.expires }),
    maxDownloads: first({ variable: present(env["FILEIO_MAX_DOWNLOADS"]), file: file.maxDownloads }),
    encrypt: first({ variable: present(env["FILEIO_ENCRYPT"]), file: file.encrypt }),
    key: key && {
      value: "command" in key.value ? `from the command: ${key.value.command}` : "set",
      from: key.from
    },
    network: networkOf(env, yield* CurrentNetworkFlags, file, stored)
  }
  return settings
})

const fetchKey = Effect.fnUntraced(function*(
  command: string
): Effect.fn.Return<Redacted.Redacted, Problem, ChildProcessSpawner> {
  const advice = "Run the command alone to see why, or change it: fileio config set key-command COMMAND."
  const failed = (problem: string, cause?: unknown) => local(`the command for the API key ${problem}`, advice, cause)
  return yield* Effect.scoped(Effect.gen(function*() {
    // The command may ask for a passphrase: it gets the terminal, but not standard output, which is its result.
    const child = yield* ChildProcess.make(command, [], { shell: true, stdin: "inherit", stderr: "inherit" })
    const output = yield* Stream.mkString(Stream.decodeText(child.stdout))
    const code = yield* child.exitCode
    if (code !== 0) return yield* failed(`ended with code ${code}`)
    const key = output.split(/\r?\n/, 1)[0]!.trim()
    return key === "" ? yield* failed("printed nothing") : Redacted.make(key)
  })).pipe(
    Effect.catchTag("PlatformError", (error) => Effect.fail(failed("could not be run", error)))
  )
})

/** The key for a host: for the configured one from a variable or the file, for others only from the file. */
export const keyFor = Effect.fnUntraced(function*(settings: Settings, baseUrl: string) {
  const { env } = yield* Stdio
  const isConfigured = normalize(baseUrl) === normalize(settings.baseUrl.value)
  const key = keySource(isConfigured ? env : {}, settings.file.hosts?.[normalize(baseUrl)])?.value
  if (key === undefined) return undefined
  return "key" in key ? Redacted.make(key.key) : yield* fetchKey(key.command)
})

/** Variables that the SDK reads itself (such as time-outs). */
export const provider = Effect.map(Stdio, ({ env }) => ConfigProvider.fromEnvRecord(env))

/** Parses `--max-downloads` and similar flags. */
export const maxDownloads = (text: string, from: string): Effect.Effect<number | "unlimited", Problem> =>
  text === "unlimited"
    ? Effect.succeed("unlimited" as const)
    : /^[1-9]\d{0,15}$/.test(text) && Number.isSafeInteger(Number(text))
    ? Effect.succeed(Number(text))
    : Effect.fail(usage(`invalid ${from}`, "Allowed: a whole number from 1, or unlimited."))
