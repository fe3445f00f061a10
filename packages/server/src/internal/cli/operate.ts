/** An operator's commands about files and accounts. */
import * as FileKey from "@effect-fileio/core/FileKey"
import * as PlainText from "@effect-fileio/core/PlainText"
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import type * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { existsSync } from "node:fs"
import * as Accounts from "../../Accounts.ts"
import * as DataFolder from "../../DataFolder.ts"
import * as Engines from "../../Engines.ts"
import type { SortField } from "../../FileListing.ts"
import * as Plans from "../../Plans.ts"
import * as ServerOptions from "../../ServerOptions.ts"
import { fileId } from "../ops/journal.ts"
import * as Journal from "../ops/journal.ts"
import { complete } from "../options/completeOptions.ts"
import * as Control from "../routes/control.ts"
import * as Terms from "../shared/terms.ts"

/** The command line names no command. */
export class Usage extends Schema.TaggedError<Usage>("@effect-fileio/server/internal/Usage")("Usage", {
  problem: Schema.String
}) {
  override get message() {
    return `${this.problem}; see fileio-server --help`
  }
}

/** The named file or account does not exist, or the name is invalid. */
class NotFound extends Schema.TaggedError<NotFound>("@effect-fileio/server/internal/NotFound")("NotFound", {
  problem: Schema.String
}) {
  override get message() {
    return this.problem
  }
}

const time = (millis: number | null): string =>
  millis === null ? "never" : DateTime.formatIso(DateTime.makeUnsafe(millis)).replace(/\.\d+Z$/, "Z")
const owner = (name: string): string => name === "" ? "no key" : PlainText.visible(name)
const downloads = ({ downloads, maxDownloads }: Control.File): string => `${downloads}/${maxDownloads ?? "unlimited"}`

/** One line of cells, safe for a terminal. */
const line = (cells: ReadonlyArray<string | number>): Effect.Effect<void> =>
  Console.log(cells.map((cell) => PlainText.visible(String(cell))).join("\t"))

const json = (value: unknown): Effect.Effect<void> => Console.log(PlainText.escapeJson(JSON.stringify(value)))

const iso = (millis: number | null) => millis === null ? null : DateTime.formatIso(DateTime.makeUnsafe(millis))
const timesOf = (file: Control.File) => ({
  ...file,
  created: iso(file.created),
  modified: iso(file.modified),
  expires: iso(file.expires),
  lastAttempt: iso(file.lastAttempt)
})

/** Runs a command: through the server that runs on the data folder, or, without one, on the catalog itself. */
const control = Effect.fnUntraced(function*(command: Control.Command) {
  const given = yield* ServerOptions.config
  const result = yield* Control.ask(given.dataDirectory, command)
  if (Option.isSome(result)) return result.value
  // A mistyped path would create a catalog.
  if (given.catalog === undefined && !existsSync(given.dataDirectory)) {
    return yield* new NotFound({ problem: `there is no data folder ${given.dataDirectory}` })
  }
  const options = yield* Effect.fromResult(complete(given))
  const audit: Journal.Journal["Service"]["audit"] = (key, event) =>
    given.auditLog === undefined
      ? Effect.void
      : Effect.orDie(Journal.append(given.auditLog, { ...event, file: fileId(key) }))
  return yield* Effect.provide(
    Control.run(command, audit),
    Layer.provide(Engines.stores(options, Terms.of(options)), [
      DataFolder.layer(given.dataDirectory),
      NodeCrypto.layerSecureRandom
    ])
  )
})

interface ListOptions {
  readonly account: string | undefined
  readonly search: string | undefined
  readonly sort: SortField
  readonly limit: number
  readonly offset: number
  readonly json: boolean
}

const listFiles = Effect.fnUntraced(function*(options: ListOptions) {
  const { files, usage } = yield* control({
    _tag: "ListFiles",
    owner: options.account ?? "",
    ...(options.search === undefined ? {} : { search: options.search }),
    sort: options.sort,
    // An operator looks for the newest and the largest.
    descending: options.sort !== "name",
    offset: options.offset,
    limit: options.limit
  })
  if (options.json) return yield* json(files.map(timesOf))
  yield* line(["key", "created", "bytes", "downloads", "expires", "name"])
  for (const file of files) {
    yield* line([file.key, time(file.created), file.size, downloads(file), time(file.expires), file.name])
  }
  const { bytes, files: count } = usage[0]!
  yield* Console.error(
    `${files.length} of ${count} files (${bytes} bytes) of ${
      options.account === undefined ? "callers without a key" : `the account ${options.account}`
    }`
  )
})

/** The key of a reported link or key. */
const keyOf = (link: string) =>
  Effect.fromResult(Result.mapBoth(FileKey.parse(link), {
    onSuccess: ({ key }): string => key,
    onFailure: (problem) => new NotFound({ problem })
  }))

const found = ({ files }: Pick<Control.Result, "files">): Effect.Effect<Control.File, NotFound> =>
  files[0] === undefined
    ? Effect.fail(
      new NotFound({ problem: "there is no such file: it was never there, has expired, was deleted or is used up" })
    )
    : Effect.succeed(files[0])

/** What the audit log has of a file, also of one that is gone. */
const eventsOf = Effect.fnUntraced(function*(key: string) {
  const { auditLog } = yield* ServerOptions.config
  return auditLog === undefined ? [] : yield* Effect.tryPromise({
    try: () => Journal.eventsOf(auditLog, fileId(key)),
    catch: (cause) => new NotFound({ problem: `cannot read the audit log ${auditLog}: ${String(cause)}` })
  })
})

const showEvents = Effect.fnUntraced(function*(events: ReadonlyArray<Journal.Entry>) {
  for (const { account, address, by, bytes, event, outcome, time } of events) {
    const who = by ?? (account === undefined ? undefined : owner(account))
    const facts = [event, outcome, bytes === undefined ? undefined : `${bytes} bytes`, who, address]
    yield* line([time, facts.filter((fact) => fact !== undefined).join(", ")])
  }
})

const showFile = Effect.fnUntraced(function*(link: string, asJson: boolean) {
  const key = yield* keyOf(link)
  const { files } = yield* control({ _tag: "ShowFile", key })
  const events = yield* eventsOf(key)
  if (files.length === 0 && events.length > 0) {
    if (asJson) return yield* json({ key, events })
    yield* line(["key", key])
    yield* line(["audit id", fileId(key)])
    yield* line(["status", "gone: it has expired, was deleted or is used up"])
    return yield* showEvents(events)
  }
  const file = yield* found({ files })
  if (asJson) return yield* json({ ...timesOf(file), events })
  yield* line(["key", file.key])
  yield* line(["audit id", fileId(file.key)])
  yield* line(["id", file.id])
  yield* line(["name", file.name])
  if (file.title !== null) yield* line(["title", file.title])
  yield* line(["type", file.mimeType])
  yield* line(["bytes", file.size])
  yield* line(["account", owner(file.owner)])
  yield* line(["plan", file.plan])
  yield* line(["created", time(file.created)])
  yield* line(["modified", time(file.modified)])
  yield* line(["expires", time(file.expires)])
  yield* line(["downloads", downloads(file)])
  yield* line(["begun", file.attempts])
  yield* line(["last begun", time(file.lastAttempt)])
  yield* showEvents(events)
})

/** The line for a blocklist. */
const digestOf = Effect.fnUntraced(function*(link: string) {
  const result = yield* control({ _tag: "Digest", key: yield* keyOf(link) })
  yield* found(result)
  yield* Console.log(`sha256:${result.digest}`)
})

const deleteFile = Effect.fnUntraced(function*(link: string) {
  const file = yield* Effect.flatMap(control({ _tag: "DeleteFile", key: yield* keyOf(link) }), found)
  yield* line([`deleted: ${file.key}, ${file.size} bytes, of ${owner(file.owner)}, named ${file.name}`])
})

/** The accounts of the file and of the variables, and last the anonymous one. */
const accountsOf = Effect.gen(function*() {
  const options = yield* ServerOptions.config
  const file = yield* Accounts.load(options.accountsFile!)
  const named = [
    ...(options.accounts ?? []).map(({ name, plan = "free" }) => ({ name, plan, keys: [] })),
    ...file.accounts,
    { name: "", plan: options.anonymousPlan ?? "free", keys: [] }
  ]
  return { file, named }
})

const listAccounts = Effect.fnUntraced(function*(asJson: boolean) {
  const { named } = yield* accountsOf
  const { usage } = yield* control({ _tag: "Usage", owners: named.map(({ name }) => name) })
  const rows = named.map(({ keys, name, plan }, i) => ({ account: name, plan, keys: keys.length, ...usage[i]! }))
  if (asJson) return yield* json(rows)
  yield* line(["account", "plan", "keys", "files", "bytes"])
  for (const row of rows) yield* line([owner(row.account), row.plan, row.keys, row.files, row.bytes])
})

const showAccount = Effect.fnUntraced(function*(name: string, asJson: boolean) {
  const { file, named } = yield* accountsOf
  const account = named.find((each) => each.name === name)
  if (account === undefined) {
    return yield* new NotFound({ problem: `there is no account ${name}; "accounts list" has all` })
  }
  const { usage } = yield* control({ _tag: "Usage", owners: [name] })
  const plan = Plans.make(Accounts.plans(file)).get(account.plan)
  const { bytes, files } = usage[0]!
  const keys = account.keys.map(({ created, id }) => ({ id, created: DateTime.formatIso(created) }))
  if (asJson) {
    const { maxExpires, ...limits } = plan
    const longest = maxExpires === null
      ? null
      : DateTime.toEpochMillis(DateTime.addDuration(DateTime.makeUnsafe(0), maxExpires))
    return yield* json({
      account: name,
      plan: { name: account.plan, ...limits, maxExpires: longest },
      keys,
      files,
      bytes
    })
  }
  yield* line(["account", owner(name)])
  yield* line(["plan", account.plan])
  for (const { created, id } of keys) yield* line(["key", id, created])
  yield* line(["files", files])
  yield* line(["bytes", bytes])
  yield* line(["most bytes", plan.maxStorageBytes])
})

/** The commands `files` and `accounts`; `configured` runs a command with the flags that all commands share. */
export const make = <R1>(
  configured: <A, E, R>(
    command: Effect.Effect<A, E | Config.ConfigError, R>
  ) => Effect.Effect<A, E | Config.ConfigError, R | R1>
) => {
  const json = Flag.Boolean("json").pipe(
    Flag.withoutNegation,
    Flag.withDescription("write JSON"),
    Flag.withDefault(false)
  )
  const link = Argument.String("LINK").pipe(Argument.withDescription("link or key of a file"))
  const files = Command.make("files", {}, () => Effect.fail(new Usage({ problem: "there is no command files" }))).pipe(
    Command.withDescription(
      "Files: files list, files show LINK, files digest LINK, files delete LINK, while a server runs or not"
    ),
    Command.withSubcommands([
      Command.make(
        "list",
        {
          account: Flag.String("account").pipe(
            Flag.withMetavar("NAME"),
            Flag.withDescription("of this account (default: anonymous files)"),
            Flag.optional
          ),
          search: Flag.String("search").pipe(
            Flag.withMetavar("TEXT"),
            Flag.withDescription("whose name contains this"),
            Flag.optional
          ),
          sort: Flag.Literals("sort", ["created", "size", "downloads", "name"]).pipe(
            Flag.withDescription("the newest, largest or most often downloaded first, or by name"),
            Flag.withDefault("created")
          ),
          limit: Flag.Int("limit").pipe(Flag.withDescription("how many"), Flag.withDefault(100)),
          offset: Flag.Int("offset").pipe(Flag.withDescription("how many to skip"), Flag.withDefault(0)),
          json
        },
        ({ account, json, limit, offset, search, sort }) =>
          configured(listFiles({
            account: Option.getOrUndefined(account),
            search: Option.getOrUndefined(search),
            sort,
            limit: Math.min(Math.max(1, limit), 1000),
            offset: Math.max(0, offset),
            json
          }))
      ).pipe(Command.withDescription("Lists files of an account; at most 1,000 at a time")),
      Command.make("show", { link, json }, ({ json, link }) => configured(showFile(link, json))).pipe(
        Command.withDescription(
          "Shows the owner and the downloads of a file, and with --audit-log who did what and from where; no download"
        )
      ),
      Command.make("digest", { link }, ({ link }) => configured(digestOf(link))).pipe(
        Command.withDescription("Writes the SHA-256 of a file as a line for a blocklist; does not count as a download")
      ),
      Command.make("delete", { link }, ({ link }) => configured(deleteFile(link))).pipe(
        Command.withDescription("Deletes a file of any account, and breaks its running downloads")
      )
    ])
  )
  const accounts = Command.make(
    "accounts",
    {},
    () => Effect.fail(new Usage({ problem: "there is no command accounts" }))
  ).pipe(
    Command.withDescription("Accounts: accounts list, accounts show NAME"),
    Command.withSubcommands([
      Command.make("list", { json }, ({ json }) => configured(listAccounts(json))).pipe(
        Command.withDescription("Lists accounts with their plans, keys, files and bytes")
      ),
      Command.make(
        "show",
        { name: Argument.String("NAME"), json },
        ({ json, name }) => configured(showAccount(name, json))
      ).pipe(Command.withDescription("Shows the keys, the use and the limits of an account"))
    ])
  )
  return [files, accounts] as const
}
