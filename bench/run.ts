/**
 * `pnpm bench [NAME] [--option value ...]`: runs `bench/NAME.ts`, or all of them one after the other. Each prints JSON lines.
 *
 * `pnpm bench [NAME] --smoke`: runs each for seconds, and fails if a transfer is wrong or a line is missing. Checks no times.
 */
import { spawn, spawnSync } from "node:child_process"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { createInterface } from "node:readline"

const known = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(".ts") && file !== "run.ts")
  .map((file) => file.slice(0, -".ts".length))

const hasCurl = spawnSync("curl", ["--version"]).status === 0

type Line = Readonly<Record<string, unknown>>

interface Smoke {
  readonly args: ReadonlyArray<string>
  /** Each bench must print a line with these values. */
  readonly expects: ReadonlyArray<Line>
}

const ratios = (facts: Line, ...names: ReadonlyArray<string>): ReadonlyArray<Line> => [
  ...names.map((contender) => ({ ...facts, contender })),
  { ...facts, ratios: true }
]

/** The options of a short run of each bench, and its required output. */
const smokes: Readonly<Record<string, Smoke>> = {
  transfer: {
    args: ["--mib", "3", "--rounds", "1"],
    expects: [
      ...ratios({ bench: "upload" }, "undici", "sdk", "sdk-sockets"),
      ...ratios({ bench: "download", durable: false }, "undici", "sdk"),
      ...ratios({ bench: "download", durable: true }, "undici", "sdk")
    ]
  },
  encryption: {
    args: ["--mib", "3", "--rounds", "1"],
    expects: [
      ...ratios({ bench: "encrypted upload" }, "sdk", "library alone"),
      ...ratios({ bench: "encrypted download" }, "sdk", "library alone")
    ]
  },
  calls: {
    args: ["--count", "20", "--seconds", "0.2", "--rounds", "1"],
    expects: [
      ...ratios({ bench: "calls", what: "me", paced: 100 }, "undici", "sdk"),
      ...ratios({ bench: "calls", what: "me", count: 20 }, "undici", "sdk"),
      ...ratios({ bench: "calls", what: "upload" }, "undici", "sdk")
    ]
  },
  rate: {
    args: ["--limits", "10", "--rtts", "0", "--fibers", "10", "--processes", "1", "--seconds", "2"],
    expects: [{ bench: "rate", limit: 10 }]
  },
  server: {
    args: ["--mib", "3", "--requests", "200", "--rounds", "1"],
    // curl generates the load of transfers; without it the bench reports that it skips them.
    expects: (hasCurl ? ["me", "upload", "download"] : ["me"]).flatMap((what) =>
      ratios({ bench: "server", what }, "node:http", "server")
    )
  },
  capacity: {
    args: ["--count", "40", "--connections", "4", "--rounds", "1"],
    expects: [{ bench: "capacity", what: "uploads" }, { bench: "capacity", what: "downloads" }]
  },
  resumable: {
    args: ["--mib", "3", "--rounds", "1"],
    expects: [{ bench: "resumable", mib: 3 }]
  },
  size: {
    args: ["--rounds", "1"],
    expects: [
      ...ratios({ bench: "size", what: "version" }, "node -e 0", "fileio --version"),
      { bench: "size", what: "bundle" }
    ]
  }
}

/** Runs a bench to its end, and forwards its output. */
const run = async (name: string, args: ReadonlyArray<string>): Promise<ReadonlyArray<string>> => {
  const child = spawn(process.execPath, [join(import.meta.dirname, `${name}.ts`), ...args], {
    stdio: ["ignore", "pipe", "inherit"]
  })
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve))
  const printed: Array<string> = []
  for await (const line of createInterface(child.stdout)) {
    printed.push(line)
    process.stdout.write(`${line}\n`)
  }
  const code = await ended
  if (code !== 0) throw new Error(`the bench ${name} ended with ${code}`)
  return printed
}

const has = (line: Line, expected: Line): boolean =>
  Object.entries(expected).every(([name, value]) =>
    name === "ratios" ? typeof line[name] === "object" : line[name] === value
  )

const isPositive = (value: unknown): boolean => value === undefined || (typeof value === "number" && value > 0)

const smoke = async (name: string): Promise<void> => {
  const { args, expects } = smokes[name] ?? { args: [], expects: [] }
  if (expects.length === 0) throw new Error(`run.ts does not know what the bench ${name} must print`)
  const lines = (await run(name, args)).map((line) => JSON.parse(line) as Line)
  for (const expected of expects) {
    if (!lines.some((line) => has(line, expected))) {
      throw new Error(`the bench ${name} printed no line with ${JSON.stringify(expected)}`)
    }
  }
  const wrong = lines.find(({ wallS }) => !isPositive(wallS))
  if (wrong !== undefined) throw new Error(`the bench ${name} printed a time that is none: ${JSON.stringify(wrong)}`)
}

const words = process.argv.slice(2)
const isSmoke = words.includes("--smoke")
const args = words.filter((word) => word !== "--smoke")
const name = args[0]?.startsWith("--") === false ? args.shift() : undefined

if ((name !== undefined && !known.includes(name)) || (args.length > 0 && (isSmoke || name === undefined))) {
  process.stderr.write(
    `usage: pnpm bench [${known.join("|")}] [--smoke]\n       pnpm bench ${known.join("|")} [--option value ...]\n`
  )
  process.exitCode = 2
} else {
  try {
    for (const each of name === undefined ? known : [name]) await (isSmoke ? smoke(each) : run(each, args))
  } catch (cause) {
    process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n`)
    process.exitCode = 1
  }
}
