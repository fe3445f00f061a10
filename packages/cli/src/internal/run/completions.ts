import type * as Command from "effect/cli/Command"
import * as Completions from "effect/cli/Completions"
import * as Effect from "effect/Effect"
import { Report } from "../report.ts"
import type { Runner } from "../services.ts"

const PATH = { _tag: "Path", pathType: "either" } as const
const PATHS = new Set(["path", "output", "file", "data"])

/**
 * The parser treats paths as plain words, since it would make `-` a path too; shells should complete them nevertheless.
 */
const withPaths = (descriptor: Completions.CommandDescriptor): Completions.CommandDescriptor => ({
  ...descriptor,
  flags: descriptor.flags.map((flag) => PATHS.has(flag.name) ? { ...flag, type: PATH } : flag),
  arguments: descriptor.arguments.map((argument) => PATHS.has(argument.name) ? { ...argument, type: PATH } : argument),
  subcommands: descriptor.subcommands.map(withPaths)
})

export const run: Runner<{ readonly shell: Completions.Shell; readonly command: Command.Command.Any }> = Effect
  .fnUntraced(function*({ command, shell }) {
    const report = yield* Report
    const script = Completions.generate(command.name, shell, withPaths(Completions.fromCommand(command)))
    yield* report.text(script.endsWith("\n") ? script : `${script}\n`)
  })
