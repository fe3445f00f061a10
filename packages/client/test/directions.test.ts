import { assert, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import * as Path from "node:path"

const PACKAGES = ["core", "client < core", "server < core", "platform-node < core client"]
  .concat("promise < core client platform-node", "cli < core client platform-node server")
/** From the top down: a room imports from itself and from those below it. Types may come from anywhere. */
const ROOMS = ["faces", "disk", "FileIo", "calls", "request", "limit", "settings", "Transport", "observe", "shared"]
const SETTINGS = ["RateLimit", "RateLimitStore", "RetryPolicy"]
const SHARED = ["FileBody", "Metrics", "Platform", "Progress"]

const sources = (name: string) => Path.join(import.meta.dirname, "../..", name, "src")
const files = (name: string) =>
  readdirSync(sources(name), { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"))
const importsOf = (name: string, file: string) => {
  const text = readFileSync(Path.join(sources(name), file), "utf8")
  return Array.from(text.matchAll(/^(?:import|export) (?!type )[^"=]*from "(.+?)"/gm), (match) => match[1]!)
}

const roomOf = (file: string): number => {
  const [module = "", room = "", inner] = file.replace(/\.ts$/, "").split("/")
  if (inner !== undefined && room !== "testing") return ROOMS.indexOf(room)
  const shared = SHARED.includes(module) ? "shared" : undefined
  return Math.max(0, ROOMS.indexOf(shared ?? (SETTINGS.includes(module) ? "settings" : module)))
}

it.each(PACKAGES)("packages import from those below them: %s", (line) => {
  const [name = "", ...below] = line.split(/[ <]+/)
  const imports = files(name).flatMap((file) => importsOf(name, file))
  const others = imports.flatMap((from) => /^@effect-fileio\/([\w-]+)/.exec(from)?.[1] ?? [])
  assert.deepStrictEqual(others.filter((other) => other !== name && !below.includes(other)), [])
})

it.each(files("client"))("rooms of the client import from those below them: %s", (file) => {
  const targets = importsOf("client", file).filter((from) => from.startsWith("."))
  const wrong = targets.filter((target) => roomOf(Path.join(Path.dirname(file), target)) < roomOf(file))
  assert.deepStrictEqual(wrong, [])
})
