/**
 * Runs a command of this workspace on a machine that has only Node 20 and npm.
 *
 *     node scripts/bootstrap.mjs [run:SCRIPT ...] COMMAND [ARGUMENT ...]
 *
 * Installs what is missing (with the pnpm that `packageManager` pins, through npx), builds the server's pages where their sources
 * have changed, runs the named scripts of package.json in
 * order until one fails, then runs the command with `node_modules/.bin` first in PATH, and so with the Node 24 of the npm
 * package `node`. The command `pnpm` is the pinned pnpm. Needs no network once everything is installed, and has no dependencies
 * itself. The command `program:FILE` runs a file of this workspace in the caller's folder, since its arguments are paths there.
 */
import { spawn } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { constants } from "node:os"
import { delimiter, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const modules = join(root, "node_modules")
const bin = join(modules, ".bin")
const stamp = join(modules, ".installed")
const windows = process.platform === "win32"

/** @type {{ packageManager: string, scripts: Record<string, string> }} */
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))

/** @param {string} message */
const say = (message) => process.stderr.write(`${message}\n`)

/**
 * @param {string} message
 * @returns {never}
 */
const fail = (message) => {
  say(message)
  process.exit(1)
}

/** Changes when another install could have another result. */
const fingerprint = () => {
  const folders = [
    ".",
    ...readdirSync(root).filter((name) => !name.startsWith(".") && name !== "node_modules"),
    ...readdirSync(join(root, "packages")).map((name) => join("packages", name))
  ]
  const files = ["pnpm-lock.yaml", "pnpm-workspace.yaml", ...folders.map((folder) => join(folder, "package.json"))]
  const hash = createHash("sha256").update(`${process.platform} ${process.arch}`)
  for (const file of files.filter((file) => existsSync(join(root, file))).toSorted()) {
    hash.update(`\0${file}\0`).update(readFileSync(join(root, file)))
  }
  return hash.digest("hex")
}

const pathWithoutBin = (process.env.PATH ?? "").split(delimiter).filter((entry) => entry !== bin).join(delimiter)

/** @type {NodeJS.ProcessEnv} */
const environment = {
  ...process.env,
  PATH: [bin, pathWithoutBin].join(delimiter),
  // By default these caches are in the home folder and in the folder for temporary files.
  DPRINT_CACHE_DIR: join(modules, ".cache", "dprint"),
  NODE_COMPILE_CACHE: join(modules, ".cache", "node")
}
// Some tools also colour output to a file or a pipe.
if (!process.stdout.isTTY && process.env.FORCE_COLOR === undefined) environment.NO_COLOR = "1"

// In a terminal, Ctrl-C reaches the child directly: forwarding it would look like a second one, which many programs take for
// "stop at once".
const terminal = [process.stdin, process.stdout, process.stderr].some((stream) => stream.isTTY)

/**
 * @param {string} command
 * @param {ReadonlyArray<string>} args
 * @param {import("node:child_process").SpawnOptions & { output?: Array<Buffer> }} options
 * @returns {Promise<{ code: number, signal: NodeJS.Signals | null }>}
 */
const run = (command, args, { output, ...options }) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      env: environment,
      shell: windows,
      stdio: output === undefined ? "inherit" : ["ignore", "pipe", "pipe"],
      ...options
    })
    child.stdout?.on("data", (chunk) => output?.push(chunk))
    child.stderr?.on("data", (chunk) => output?.push(chunk))
    /** @param {NodeJS.Signals} signal */
    const pass = (signal) => {
      if (signal !== "SIGINT" || !terminal) child.kill(signal)
    }
    /** @type {Array<NodeJS.Signals>} */
    const signals = windows ? ["SIGINT", "SIGTERM"] : ["SIGINT", "SIGTERM", "SIGHUP"]
    for (const signal of signals) process.on(signal, pass)
    // npm sends a SIGTERM to the shell between it and this process; the shell ends without forwarding it.
    const parent = process.ppid
    const orphaned = () => {
      if (process.ppid !== parent) pass("SIGTERM")
    }
    const watch = process.env.npm_lifecycle_event === undefined ? undefined : setInterval(orphaned, 250).unref()
    const forget = () => {
      clearInterval(watch)
      for (const signal of signals) process.off(signal, pass)
    }
    child.on("error", (error) => {
      forget()
      reject(error)
    })
    child.on("close", (code, signal) => {
      forget()
      resolve({ code: code ?? (signal === null ? 1 : 128 + constants.signals[signal]), signal })
    })
  })

/**
 * Ends this process as the child ended: by the same signal, or with the same code.
 *
 * @param {{ code: number, signal: NodeJS.Signals | null }} end
 */
const endAs = ({ code, signal }) => {
  if (signal !== null && !windows) process.kill(process.pid, signal)
  process.exitCode = code
}

/** @param {ReadonlyArray<string>} args */
const pnpm = (args) => /** @type {const} */ (["npx", ["--yes", "--prefer-offline", manifest.packageManager, ...args]])

const install = async () => {
  const wanted = fingerprint()
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === wanted) return
  say(
    `installing dependencies with ${manifest.packageManager} (${existsSync(stamp) ? "they changed" : "first run"}) ...`
  )
  /** @type {Array<Buffer>} */
  const output = []
  // "npm test --silent" would silence the reason of a failure too.
  const env = { ...environment, PATH: pathWithoutBin, npm_config_loglevel: undefined }
  const end = await run(...pnpm(["install", "--frozen-lockfile", "--config.confirmModulesPurge=false"]), {
    env,
    output
  })
    .catch((error) =>
      fail(`Could not start npx, which comes with npm: ${error.message}\nInstall Node 20.20 or newer with npm.`)
    )
  if (end.code !== 0) {
    process.stderr.write(Buffer.concat(output))
    if (end.signal !== null || end.code > 128) process.exit(end.code)
    fail([
      "",
      `The dependencies could not be installed (exit code ${end.code}); the reason is above.`,
      "The first run needs the npm registry that npm is configured for; later runs need no network.",
      "If a package.json was changed, update the lockfile with: npm run pnpm -- install --no-frozen-lockfile"
    ].join("\n"))
  }
  if (!existsSync(join(bin, "node"))) {
    process.stderr.write(Buffer.concat(output))
    fail("\nThe npm package \"node\" brought no Node for this platform; its install script says why above.")
  }
  writeFileSync(stamp, wanted)
}

/** The pages' sources; they contain the SDK. The build takes a second. */
const PAGES = [
  "pages",
  "packages/core/src",
  "packages/client/src",
  "packages/server/src/internal/web/longName.ts",
  "packages/server/src/internal/web/words",
  "pnpm-lock.yaml"
]

const buildPages = async () => {
  const output = join(root, "packages/server/web/pages.json")
  const built = join(modules, ".pages")
  const hash = createHash("sha256")
  for (const source of PAGES) {
    const files = source.includes(".")
      ? [source]
      : readdirSync(join(root, source), { recursive: true, encoding: "utf8" })
        .filter((file) => /\.(?:ts|css|svg)$/.test(file) && !file.includes("node_modules"))
        .map((file) => join(source, file)).toSorted()
    for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(join(root, file)))
  }
  const wanted = hash.digest("hex")
  if (existsSync(output) && existsSync(built) && readFileSync(built, "utf8") === wanted) return
  const { code } = await run("node", ["pages/build.ts"], {})
  if (code !== 0) fail("The server's pages could not be built; the reason is above.")
  writeFileSync(built, wanted)
}

if (Number(process.versions.node.split(".")[0]) < 20) {
  fail(
    `Node 20.20 or newer is needed to start; this is ${process.version}. (Everything else then runs on a Node of its own.)`
  )
}

const words = process.argv.slice(2)
const firstWord = words.findIndex((word) => !word.startsWith("run:"))
const scripts = words.slice(0, firstWord === -1 ? words.length : firstWord).map((word) => word.slice("run:".length))
const [command, ...args] = words.slice(scripts.length)

// A command that changes the dependencies must not require those of the lockfile.
if (command !== "pnpm" || !args.some((arg) => ["add", "i", "install", "remove", "rm", "up", "update"].includes(arg))) {
  await install()
  await buildPages()
}

/** @type {{ code: number, signal: NodeJS.Signals | null }} */
let end = { code: 0, signal: null }
for (const name of scripts) {
  const script = manifest.scripts[name] ?? fail(`package.json has no script "${name}".`)
  const started = performance.now()
  end = await run(script, [], { shell: true })
  if (end.code !== 0) {
    say(`${name}: failed (exit code ${end.code}). Run it alone with: npm run ${name}`)
    break
  }
  say(`${name}: ok (${((performance.now() - started) / 1000).toFixed(1)} s)`)
}
if (end.code === 0 && command !== undefined) {
  const [, program] = /^program:(.+)$/.exec(command) ?? []
  end = await (command === "pnpm"
    ? run(...pnpm(args), {})
    : program === undefined
    ? run(command, args, {})
    // npm runs scripts in the folder of package.json.
    : run("node", [windows ? `"${join(root, program)}"` : join(root, program), ...args], {
      cwd: process.env.INIT_CWD ?? process.cwd()
    }))
    .catch((error) => fail(`Could not start ${command}: ${error.message}`))
}
endAs(end)
