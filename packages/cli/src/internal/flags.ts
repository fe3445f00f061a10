/** The flags that every command takes. */
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"

const toggle = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withoutNegation, Flag.withDefault(false), Flag.withDescription(description))

export const Json = GlobalFlag.Setting("json")({
  flag: toggle("json", "Write one JSON object a line, results and errors alike")
})

export const Quiet = GlobalFlag.Setting("quiet")({
  flag: toggle("quiet", "Write only results and errors").pipe(Flag.withAlias("q"))
})

export const Verbose = GlobalFlag.Setting("verbose")({
  flag: toggle("verbose", "Write the causes of errors, and what is going on")
})

export const BaseUrl = GlobalFlag.Setting("base-url")({
  flag: Flag.String("base-url").pipe(
    Flag.withMetavar("URL"),
    Flag.withDescription("Address of the host"),
    Flag.optional
  )
})

export const all = [Json, Quiet, Verbose, BaseUrl] as const
