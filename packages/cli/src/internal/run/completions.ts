import * as Command from "effect/cli/Command"
import * as Completions from "effect/cli/Completions"
import * as Effect from "effect/Effect"
import * as Flags from "../flags.ts"
import { Report } from "../report.ts"
import type { Runner } from "../services.ts"

const PATH = { _tag: "Path", pathType: "either" } as const
const PATHS = new Set([
  "path",
  "output",
  "file",
  "data",
  "identity",
  "recipient",
  "passphrase-file",
  "cacert",
  "cert",
  "cert-key",
  "unix-socket"
])

const FIELDS = ["name", "size", "expires", "created", "modified", "downloads"]

/** Values that a shell proposes; others are allowed too. */
const VALUES: Readonly<Record<string, ReadonlyArray<string>>> = {
  expires: ["10m", "1h", "1d", "1w", "1M", "1y", "never"],
  "max-downloads": ["1", "unlimited"],
  sort: FIELDS.flatMap((field) => [field, `-${field}`]),
  proxy: ["none"],
  host: ["127.0.0.1", "0.0.0.0"]
}

/** The flags that every command takes, which the commands themselves do not list. */
const globals = (): ReadonlyArray<Completions.FlagDescriptor> => {
  const flags = Object.fromEntries(Flags.all.map((setting, index) => [`flag${index}`, setting.flag]))
  const help = {
    name: "help",
    aliases: ["h"],
    description: "Show help",
    type: { _tag: "Boolean" },
    negation: false
  } as const
  return [...Completions.fromCommand(Command.make("globals", flags)).flags, help]
}

/**
 * The parser treats paths as plain words, since it would make `-` a path too, and takes values that nobody could list; shells
 * should complete both nevertheless.
 */
const complete = (
  descriptor: Completions.CommandDescriptor,
  shared: ReadonlyArray<Completions.FlagDescriptor>
): Completions.CommandDescriptor => ({
  ...descriptor,
  flags: [...descriptor.flags, ...shared].map((flag) => {
    const values = VALUES[flag.name]
    return PATHS.has(flag.name)
      ? { ...flag, type: PATH }
      : values === undefined
      ? flag
      : { ...flag, type: { _tag: "Choice", values } }
  }),
  arguments: descriptor.arguments.map((argument) => PATHS.has(argument.name) ? { ...argument, type: PATH } : argument),
  subcommands: descriptor.subcommands.map((command) => complete(command, shared))
})

export const run: Runner<{ readonly shell: Completions.Shell; readonly command: Command.Command.Any }> = Effect
  .fnUntraced(function*({ command, shell }) {
    const report = yield* Report
    const script = Completions.generate(command.name, shell, complete(Completions.fromCommand(command), globals()))
    yield* report.text(script.endsWith("\n") ? script : `${script}\n`)
  })
