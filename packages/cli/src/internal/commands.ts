/** The commands: their arguments, flags and help. The code of a command is loaded when it runs. */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Flags from "./flags.ts"
import type { Runner, Services } from "./services.ts"

const toggle = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withoutNegation, Flag.withDefault(false), Flag.withDescription(description))

const text = (name: string, metavar: string, description: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar(metavar),
    Flag.withDescription(description),
    Flag.optional,
    Flag.map(Option.getOrUndefined)
  )

const count = (name: string, description: string) =>
  Flag.Int(name).pipe(
    Flag.withMetavar("N"),
    Flag.withDescription(description),
    Flag.optional,
    Flag.map(Option.getOrUndefined)
  )

const expires = text("expires", "TIME", "When it expires: 10m, 12h, 2w, 2030-12-31T23:59:59Z, never")
const maxDownloads = text("max-downloads", "N", "Number of allowed downloads: from 1, or unlimited")
const qr = toggle("qr", "Also show the link as a QR code, on standard error")

const passphrase = {
  passphrase: toggle("passphrase", "Use a passphrase, from FILEIO_PASSPHRASE or the terminal"),
  passphraseFile: text("passphrase-file", "FILE", "Use a passphrase, the first line of this file")
}

const encrypt = {
  encrypt: toggle("encrypt", "Encrypt end to end, in the age format; the link has the secret"),
  recipient: Flag.String("recipient").pipe(
    Flag.withMetavar("age1…"),
    Flag.withDescription("Encrypt for this public key of age; may be given several times"),
    Flag.atLeast(0)
  ),
  ...passphrase,
  noEncrypt: toggle("no-encrypt", "Do not encrypt, whatever the settings say"),
  nameAtHost: toggle("name-at-host", "Store the name of an encrypted file on the host instead of in its link")
}

const key = Argument.String("key").pipe(Argument.withDescription("A key, or a link in any form"))
const keys = key.pipe(Argument.atLeast(1))

const runner = <I>(command: string, load: () => Promise<{ readonly run: Runner<I> }>) =>
(
  input: I
): Effect.Effect<void, Services.Failure, Services.Requirements> =>
  Effect.gen(function*() {
    const [{ provide }, { run }] = yield* Effect.promise(() => Promise.all([import("./services.ts"), load()]))
    yield* provide(command, run(input))
  })

const upload = Command.make("upload", {
  paths: Argument.String("path").pipe(
    Argument.atLeast(1),
    Argument.withDescription("A file or pipe, a folder with --tar, or - for standard input")
  ),
  expires,
  maxDownloads,
  keep: toggle("keep", "Keep the file on the host when it is downloaded or expired; it can be updated then"),
  countFirst: toggle(
    "count-first",
    "Count a download when it begins, so that nobody reads a part of the file uncounted; not every host can"
  ),
  name: text("name", "NAME", "Another name for the file"),
  title: text("title", "TEXT", "A title"),
  tar: toggle("tar", "Send a folder as one tar archive"),
  resume: toggle(
    "resume",
    "Only continue a broken upload of this file, which is also the default; without one, make no request"
  ),
  snapshot: toggle(
    "snapshot",
    "Send the bytes that a file has at the start, even if it grows meanwhile, as a log does"
  ),
  showToken: toggle(
    "show-token",
    "Also show the token that deletes the file without a key: on standard error, or in --json"
  ),
  ...encrypt,
  qr
}, runner("upload", () => import("./run/upload.ts"))).pipe(
  Command.withDescription("Upload files; writes a link for each. Without a key they belong to no account."),
  Command.withShortDescription("Upload files, folders or standard input; writes links"),
  Command.withExamples([
    { command: "fileio upload report.pdf --expires 1d", description: "A link that works once, for a day" },
    { command: "fileio upload report.pdf --encrypt", description: "The host cannot read it; the link decrypts it" },
    { command: "tar c photos | fileio upload - --name photos.tar", description: "From a pipe" }
  ])
)

const download = Command.make("download", {
  keys: Argument.String("key").pipe(
    Argument.withDescription("A key, a link in any form, or - for links on standard input"),
    Argument.atLeast(1)
  ),
  output: Flag.String("output").pipe(
    Flag.withAlias("o"),
    Flag.withMetavar("PATH|DIR|-"),
    Flag.withDescription(
      "A path, or a folder (FOLDER/ if it is new; the file keeps its name), a device or pipe, or - for standard output"
    ),
    Flag.optional,
    Flag.map(Option.getOrUndefined)
  ),
  overwrite: toggle("overwrite", "Overwrite an existing file"),
  number: toggle("number", "Add a number to a taken name; the default in a folder"),
  resume: toggle(
    "resume",
    "Only resume a broken download, which is also the default; without its part, make no request"
  ),
  identity: Flag.String("identity").pipe(
    Flag.withAlias("i"),
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      "Decrypt with the secret keys in this file (- is standard input), as age-keygen writes it; may be given several times"
    ),
    Flag.atLeast(0)
  ),
  ...passphrase,
  noDecrypt: toggle("no-decrypt", "Save an encrypted file as it is")
}, runner("download", () => import("./run/download.ts"))).pipe(
  Command.withDescription(
    "Download a file; writes its path. The file gets its name only when it is complete. A link is requested from its own host, unless --base-url is set."
  ),
  Command.withShortDescription("Download files; writes their paths"),
  Command.withExamples([
    { command: "fileio download https://host/2ojE41abcDEF", description: "Into this folder, with its original name" },
    { command: "fileio download 2ojE41abcDEF -o - | tar x", description: "Into a pipe" }
  ])
)

const list = Command.make("list", {
  search: text("search", "TEXT", "Only files whose name contains this"),
  sort: text("sort", "FIELD", "Field to sort by, such as name, size, expires, created; -created reverses the order"),
  offset: count("offset", "How many files to skip"),
  limit: count("limit", "How many files to show at most"),
  all: toggle("all", "All files, page by page")
}, runner("list", () => import("./run/list.ts"))).pipe(Command.withDescription("List the account's files"))

const me = Command.make("me", {}, runner("me", () => import("./run/me.ts"))).pipe(
  Command.withDescription("Show the account, its plan and its storage")
)

const changes = {
  key,
  expires,
  maxDownloads,
  keep: Flag.Boolean("keep").pipe(
    Flag.withDescription("Whether the host keeps the file when it is downloaded or expired"),
    Flag.optional,
    Flag.map(Option.getOrUndefined)
  ),
  file: text("file", "PATH", "New content: a file, a pipe, or - for standard input"),
  ...encrypt
}

const update = Command.make("update", changes, runner("update", () => import("./run/update.ts"))).pipe(
  Command.withDescription("Change the given settings of a file, and keep the others")
)

const replace = Command.make("replace", changes, runner("replace", () => import("./run/replace.ts"))).pipe(
  Command.withDescription("Change the given settings of a file, and reset the others to the host's defaults")
)

const remove = Command.make("delete", {
  keys,
  yes: toggle("yes", "Do not ask").pipe(Flag.withAlias("y")),
  tokenStdin: toggle("token-stdin", "Read the deletion token of the upload from standard input, in place of a key")
}, runner("delete", () => import("./run/delete.ts"))).pipe(
  Command.withDescription(
    "Delete files: of the account, or uploaded by this user without one; with FILEIO_DELETE_TOKEN or --token-stdin, by the token of the upload. Asks first on a terminal; elsewhere --yes is needed."
  ),
  Command.withShortDescription("Delete files")
)

const wait = Command.make("await", {
  key,
  every: Flag.String("every").pipe(
    Flag.withMetavar("TIME"),
    Flag.withDefault("5s"),
    Flag.withDescription("How long to wait between two requests: 10s, 1 min; a number alone is seconds")
  )
}, runner("await", () => import("./run/await.ts"))).pipe(
  Command.withDescription(
    "Wait until a file was downloaded (or deleted, which looks the same). Exit code 0; 3 if it expired before"
  ),
  Command.withShortDescription("Wait until a file was downloaded")
)

const serve = Command.make("serve", {
  host: Flag.String("host").pipe(
    Flag.withMetavar("ADDRESS"),
    Flag.withDefault("127.0.0.1"),
    Flag.withDescription("Address to listen on")
  ),
  port: Flag.Int("port").pipe(
    Flag.withMetavar("N"),
    Flag.withDefault(8080),
    Flag.withDescription("Port to listen on; 0 takes a free one")
  ),
  data: text("data", "DIR", "Folder for all data; by default a temporary one, removed at the end"),
  publicUrl: text("public-url", "URL", "Base of the links, when behind a proxy")
}, runner("serve", () => import("./run/serve.ts"))).pipe(
  Command.withDescription(
    "Run a server for the same API until it is stopped. FILEIO_SERVER_API_KEY defines an account; fileio-server of @effect-fileio/server has all options."
  ),
  Command.withShortDescription("Run a server for the same API")
)

const NAMES = [
  "base-url",
  "key",
  "key-command",
  "expires",
  "max-downloads",
  "encrypt",
  "proxy",
  "ca-cert",
  "client-cert",
  "client-key",
  "header-file"
] as const

const set = Command.make("set", {
  name: Argument.Literals("name", NAMES).pipe(Argument.withDescription("Which setting")),
  value: Argument.String("value").pipe(
    Argument.optional,
    Argument.map(Option.getOrUndefined),
    Argument.withDescription("Its value. Not for a key, which is prompted for or read from standard input")
  )
}, runner("config set", () => import("./run/configSet.ts"))).pipe(
  Command.withDescription(
    "Store a setting; keys, client certificates and headers belong to the configured host"
  ),
  Command.withExamples([
    { command: "fileio config set base-url https://share.example" },
    { command: "fileio config set key", description: "Prompts for it without echo" },
    { command: "fileio config set encrypt link", description: "Every upload is encrypted" },
    { command: "fileio config set key-command 'pass show fileio'" }
  ])
)

const unset = Command.make("unset", {
  name: Argument.Literals("name", NAMES).pipe(Argument.withDescription("Which setting"))
}, runner("config unset", () => import("./run/configUnset.ts"))).pipe(Command.withDescription("Remove a setting"))

const path = Command.make("path", {}, runner("config path", () => import("./run/configPath.ts"))).pipe(
  Command.withDescription("Show where the file is")
)

const config = Command.make("config", {}, runner("config", () => import("./run/config.ts"))).pipe(
  Command.withDescription("Show the settings and their sources; set and unset change them"),
  Command.withShortDescription("Show or change the settings"),
  Command.withSubcommands([set, unset, path])
)

const completions = Command.make("completions", {
  shell: Argument.Literals("shell", ["bash", "zsh", "fish", "powershell"]).pipe(
    Argument.withDescription("Which shell")
  )
}, ({ shell }) => runner("completions", () => import("./run/completions.ts"))({ shell, command: root })).pipe(
  Command.withDescription("Write a completion script"),
  Command.withExamples([{ command: "fileio completions bash > /etc/bash_completion.d/fileio" }])
)

export const root: Command.Command<"fileio", {}, {}, Services.Failure, Services.Provided> = Command.make("fileio").pipe(
  Command.withDescription("One-time file sharing over the file.io API"),
  Command.withSubcommands([upload, download, list, me, update, replace, remove, wait, serve, config, completions]),
  Command.withGlobalFlags(Flags.all)
)
