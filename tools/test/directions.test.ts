import { assert, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import * as Path from "node:path"

const PACKAGES = ["core", "client < core", "server < core", "platform-node < core client"]
  .concat("promise < core client platform-node", "cli < core client platform-node server")
/** From the top down: a room imports from itself, from those beside it and from those below. Types may come from anywhere. */
const ROOMS: Readonly<Record<string, string>> = {
  core: "modules internal",
  client: "modules disk FileIo calls encryption request limit RateLimit,RetryPolicy Transport observe " +
    "FileBody,Metrics,Platform,Progress,shared",
  server: "modules cli FileIoServer routes handlers web http Accounts,Blocklist,Health,Sweeper ops Engines " +
    "SqliteCatalog,PgCatalog,FolderBlobs,S3Blobs,RedisRateCounter DiskSpace DataFolder shards sql,s3,redis,disk " +
    "Catalog,Blobs,RateCounter,FileListing ApiKeys,Plans,Logs options ServerOptions node,shared",
  "platform-node": "modules undici sockets internal",
  promise: "modules internal",
  cli: "modules main run internal ExitCode,JsonLine"
}

const sources = (name: string) => Path.join(import.meta.dirname, "../../packages", name, "src")
const files = (name: string) =>
  readdirSync(sources(name), { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"))
const importsOf = (name: string, file: string) => {
  const text = readFileSync(Path.join(sources(name), file), "utf8")
  return Array.from(text.matchAll(/^(?:import|export) (?!type )[^"=]*from "(.+?)"/gm), (match) => match[1]!)
}
/**
 * The room of a folder, or of a module; a folder or module that no room names is at the top, and a module of `internal` in that
 * room.
 */
const rankOf = (name: string, file: string): number => {
  const rooms = ROOMS[name]!.split(" ").map((beside) => beside.split(","))
  const parts = file.replace(/\.ts$/, "").split(Path.sep)
  const names = parts.length > 2 ? [parts[1]!, parts[0]!] : parts.toReversed()
  const room = names.find((part) => rooms.some((beside) => beside.includes(part)))
  return Math.max(0, rooms.findIndex((beside) => beside.includes(room ?? "modules")))
}

it.each(PACKAGES)("a package imports from those below it, and a room from those below it: %s", (line) => {
  const [name = "", ...below] = line.split(/[ <]+/)
  const wrong = files(name).flatMap((file) =>
    importsOf(name, file).filter((from) => {
      const other = /^@effect-fileio\/([\w-]+)/.exec(from)?.[1]
      if (!from.startsWith(".")) return other !== undefined && other !== name && !below.includes(other)
      return rankOf(name, Path.join(Path.dirname(file), from)) < rankOf(name, file)
    }).map((from) => `${file} imports ${from}`)
  )
  assert.deepStrictEqual(wrong, [])
})
