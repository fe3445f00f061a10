/** The program's log: its level and its form. An embedded server leaves that to its program. */
import * as Variable from "@effect-fileio/core/Variable"
import type * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import type { Row } from "../../ServerOptions.ts"
import { variableOf } from "../../ServerOptions.ts"

const LEVELS = { debug: "Debug", info: "Info", warn: "Warn", error: "Error", none: "None" } as const
const LOGGERS = { pretty: Logger.consolePretty(), logfmt: Logger.consoleLogFmt, json: Logger.consoleJson }

const level = {
  flag: "log-level",
  form: "debug|info|warn|error|none",
  meaning: "level of the log",
  parse: Variable.oneOf("debug", "info", "warn", "error", "none"),
  standard: { text: "info" }
} as const satisfies Row<keyof typeof LEVELS>

const format = {
  flag: "log-format",
  form: "pretty|logfmt|json",
  meaning: "format of the log, including the lines of a start and a stop",
  parse: Variable.oneOf("pretty", "logfmt", "json"),
  standard: { text: "pretty" }
} as const satisfies Row<keyof typeof LOGGERS>

export const rows: ReadonlyArray<Row<unknown>> = [level, format]

const formatOf = Variable.withDefault(variableOf(format), format.parse, format.standard.text)
const levelOf = Variable.withDefault(variableOf(level), level.parse, level.standard.text)

export const layer: Layer.Layer<never, Config.ConfigError> = Layer.unwrap(
  Effect.map(
    Effect.all([formatOf, levelOf]),
    ([format, level]) =>
      Layer.merge(Logger.layer([LOGGERS[format]]), Layer.succeed(References.MinimumLogLevel, LEVELS[level]))
  )
)

/** A line about the program itself, printed as it is. */
export const say = (line: string): Effect.Effect<void, Config.ConfigError> =>
  Effect.flatMap(formatOf, (format) => format === "pretty" ? Console.log(line) : Effect.logInfo(line))
