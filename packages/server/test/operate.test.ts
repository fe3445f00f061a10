import { assert, describe, it } from "@effect/vitest"
import { Console, Effect, Exit, Redacted, Scope } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Path from "node:path"
import { text } from "node:stream/consumers"
import { fileURLToPath } from "node:url"
import * as Program from "../src/internal/cli/program.ts"
import { hasPostgres, postgres } from "./engines.ts"
import {
  anna,
  assertRefused,
  blobs,
  call,
  eventually,
  LARGE,
  openDownload,
  pattern,
  start,
  startStoppable,
  temporaryFolder,
  upload,
  uploaded
} from "./support.ts"

const BIN = fileURLToPath(new URL("../src/bin.ts", import.meta.url))

interface Ran {
  readonly status: number | null
  readonly stderr: string
  readonly stdout: string
}

/** Runs a command in a process of its own, as an operator does. */
const spawned = (args: ReadonlyArray<string>) =>
  Effect.promise(() =>
    new Promise<Ran>((resolve) => {
      const child = spawn(process.execPath, [BIN, ...args], { stdio: ["ignore", "pipe", "pipe"] })
      let stderr = ""
      let stdout = ""
      child.stderr.on("data", (chunk) => stderr += String(chunk))
      child.stdout.on("data", (chunk) => stdout += String(chunk))
      child.on("close", (status) => resolve({ status, stderr, stdout }))
    })
  )

/** Runs a command in this process, with the machine's clock: starting Node takes many times as long as most commands. */
const run = (args: ReadonlyArray<string>, environment: Readonly<Record<string, string>> = {}) =>
  Effect.promise(async (): Promise<Ran> => {
    let stderr = ""
    let stdout = ""
    const output: Console.Console = {
      ...console,
      log: (...words) => {
        stdout += `${words.join(" ")}\n`
      },
      error: (...words) => {
        stderr += `${words.join(" ")}\n`
      }
    }
    const command = Program.program(args, { ...process.env, ...environment })
    const exit = await Effect.runPromiseExit(Effect.provideService(command, Console.Console, output))
    return { status: Exit.isSuccess(exit) ? 0 : 1, stderr, stdout }
  })

/** Runs a command, expects success, and returns its lines of cells. */
const lines = (args: ReadonlyArray<string>, environment?: Readonly<Record<string, string>>) =>
  Effect.map(run(args, environment), ({ status, stderr, stdout }) => {
    assert.strictEqual(status, 0, stderr)
    return stdout.trimEnd().split("\n").map((line) => line.split("\t"))
  })

describe("an operator", () => {
  it.live(
    "finds a file, sees its owner and deletes it, whether the server runs or not",
    () =>
      Effect.gen(function*() {
        const server = yield* startStoppable({ minimumRate: 0 })
        const data = ["--data", server.folder]
        const { key } = yield* uploaded(server.url, "reported", { name: "evil \u001B[2J\u202Egnp.exe" })
        const hers = yield* uploaded(server.url, "hers", { headers: anna, name: "hers.txt" })

        const [head, file, ...rest] = yield* lines(["files", "list", ...data])
        assert.deepStrictEqual(head, ["key", "created", "bytes", "downloads", "expires", "name"])
        assert.deepStrictEqual([file![0], file![2], file![3], rest.length], [key, "8", "0/1", 0])
        for (const hidden of ["\u001B", "\u202E"]) assert.notInclude(file![5]!, hidden)
        const [, annas] = yield* lines(["files", "list", "--account", "anna", ...data])
        assert.deepStrictEqual([annas![0], annas![5]], [hers.key, "hers.txt"])

        const shown = JSON.parse(
          (yield* run(["files", "show", `${server.url}/${key}`, "--json", ...data])).stdout
        ) as object
        assert.include(shown, { key, owner: "", size: 8, downloads: 0, attempts: 0, lastAttempt: null })
        // Looking is not downloading.
        const deleted = yield* lines(["files", "delete", `${server.url}/download/${key}`, ...data])
        assert.include(deleted[0]![0], `deleted: ${key}`)
        assertRefused(yield* call(`${server.url}/${key}`), 404, "FILE_NOT_FOUND")
        const gone = yield* run(["files", "delete", key, ...data])
        assert.strictEqual(gone.status, 1)
        assert.match(gone.stderr, /^fileio-server: there is no such file: .*\n$/)
        const wrong = yield* run(["files", "show", "https://example.com/?", ...data])
        assert.strictEqual(wrong.status, 1)
        assert.strictEqual(wrong.stderr.trim().split("\n").length, 1)

        // Nobody gets the last byte of a file that is deleted meanwhile.
        const large = yield* uploaded(server.url, pattern(LARGE))
        const download = yield* openDownload(`${server.url}/${large.key}`)
        yield* lines(["files", "delete", large.key, ...data])
        const taken = yield* Effect.promise(() => download.response.toArray().then(() => "whole", () => "broken off"))
        assert.strictEqual(taken, "broken off")

        yield* Scope.close(server.scope, Exit.void)
        assert.strictEqual((yield* lines(["files", "list", "--account", "anna", ...data]))[1]![0], hers.key)
        // Neither the place of its bytes, nor the hash of its deletion token.
        const stopped = JSON.parse((yield* run(["files", "show", hers.key, "--json", ...data])).stdout) as object
        assert.deepStrictEqual(Object.keys(stopped).toSorted(), Object.keys(shown).toSorted())
        assert.notMatch(Object.keys(stopped).join(), /hash|token|blob/i)
        yield* lines(["files", "delete", hers.key, ...data])
        const again = yield* start({ folder: server.folder })
        assertRefused(yield* call(`${again.url}/${hers.key}`), 404, "FILE_NOT_FOUND")
        assert.strictEqual((yield* lines(["files", "list", "--account", "anna", ...data])).length, 1)
      })
  )

  it.live("sees accounts with their plans, keys and use", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const data = ["--data", folder]
      yield* run(["keys", "create", "carl", "--plan", "premium", ...data])
      const { url } = yield* start({ folder, accountsFile: Path.join(folder, "accounts.json") })
      yield* uploaded(url, "12345")
      const listed = yield* lines(["accounts", "list", ...data])
      assert.deepStrictEqual(listed, [
        ["account", "plan", "keys", "files", "bytes"],
        ["carl", "premium", "1", "0", "0"],
        ["no key", "free", "0", "1", "5"]
      ])
      const shown = JSON.parse((yield* run(["accounts", "show", "carl", "--json", ...data])).stdout) as {
        readonly plan: object
        readonly keys: ReadonlyArray<object>
      }
      assert.include(shown.plan, { name: "premium", rateLimit: 100 })
      assert.strictEqual(shown.keys.length, 1)
      const unknown = yield* run(["accounts", "show", "nobody", ...data])
      assert.deepStrictEqual(unknown, {
        status: 1,
        stdout: "",
        stderr: "fileio-server: there is no account nobody; \"accounts list\" has all\n"
      })
    }))

  it.live(
    "is asked over a socket that only the owner of the folder can open, also after a server was killed",
    () =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        const child = spawn(process.execPath, [BIN, "--port", "0", "--admin-port", "none", "--data", folder], {
          stdio: "ignore"
        })
        const socket = Path.join(folder, "control.sock")
        yield* eventually("it listens", () => Fs.existsSync(socket) && (Fs.statSync(socket).mode & 0o777) === 0o600)
        child.kill("SIGKILL")
        yield* Effect.promise(() => new Promise((resolve) => child.once("exit", resolve)))
        assert.isTrue(Fs.existsSync(socket))
        assert.strictEqual((yield* lines(["files", "list", "--data", folder])).length, 1)
        const { url } = yield* start({ folder })
        const { key } = yield* uploaded(url, "after")
        assert.strictEqual((yield* lines(["files", "list", "--data", folder]))[1]![0], key)
      })
  )

  it.effect("makes no folder where a path is mistyped", () =>
    Effect.gen(function*() {
      const folder = Path.join(yield* temporaryFolder, "mistyped")
      const { status, stderr } = yield* spawned(["files", "list", "--data", folder])
      assert.strictEqual(status, 1)
      assert.strictEqual(stderr, `fileio-server: there is no data folder ${folder}\n`)
      assert.isFalse(Fs.existsSync(folder))
    }))

  it.live.skipIf(!hasPostgres)(
    "sees and deletes the files of servers on other machines over their PostgreSQL",
    () =>
      Effect.gen(function*() {
        const database = yield* postgres()
        const catalog = yield* database.database
        const server = yield* start({ catalog })
        const { key } = yield* uploaded(server.url, "reported")
        const elsewhere = ["--data", yield* temporaryFolder]
        const environment = { FILEIO_SERVER_CATALOG: Redacted.value(catalog) }
        assert.strictEqual((yield* lines(["files", "list", ...elsewhere], environment))[1]![0], key)
        yield* lines(["files", "delete", key, ...elsewhere], environment)
        assertRefused(yield* call(`${server.url}/${key}`), 404, "FILE_NOT_FOUND")
      })
  )

  it.live("has a log of requests and one of changes, without keys, names and addresses", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const auditLog = Path.join(folder, "audit.jsonl")
      const accessLog = Path.join(folder, "access.jsonl")
      const server = yield* startStoppable({ folder: Path.join(folder, "data"), auditLog, accessLog })
      const operator = ["--data", server.folder, "--audit-log", auditLog]
      const { key } = yield* uploaded(server.url, "given", { name: "secret name.txt" })
      yield* call(`${server.url}/${key}`)
      yield* call(`${server.url}/${key}`)
      const hers = yield* uploaded(server.url, "hers", { headers: anna })
      yield* call(`${server.url}/${hers.key}`, {
        method: "PATCH",
        headers: anna,
        body: new URLSearchParams({ title: "x" })
      })
      yield* call(`${server.url}/${hers.key}`, { method: "DELETE", headers: anna })
      const reported = yield* uploaded(server.url, "reported")
      const shown = yield* lines(["files", "show", reported.key, ...operator])
      yield* lines(["files", "delete", reported.key, ...operator])
      const created = yield* run(["keys", "create", "carl", ...operator])
      yield* call(`${server.url}/nothing/here?with=words`)
      const gone = yield* lines(["files", "show", `${server.url}/${reported.key}`, ...operator])
      const goneAsJson = yield* run(["files", "show", key, "--json", ...operator])
      const without = yield* run(["files", "show", key, "--data", server.folder])
      yield* Scope.close(server.scope, Exit.void)

      const read = (path: string) =>
        Fs.readFileSync(path, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line) as Record<string, unknown>)
      const audit = read(auditLog)
      assert.deepStrictEqual(
        audit.map(({ account, bytes, by, event, outcome }) => [event, account, bytes, outcome ?? by]),
        [
          ["upload", "", 5, undefined],
          ["download", undefined, 5, "whole"],
          ["upload", "anna", 4, undefined],
          ["update", "anna", undefined, undefined],
          ["delete", "anna", undefined, undefined],
          ["upload", "", 8, undefined],
          ["delete", "", undefined, "operator"],
          ["key-created", "carl", undefined, "operator"]
        ]
      )
      assert.strictEqual(audit[7]!["key"], created.stdout.slice(0, 7))
      // A report has a link, from which the id in the log can be computed.
      assert.strictEqual(audit[5]!["file"], shown.find(([name]) => name === "audit id")![1])
      assert.strictEqual(audit[0]!["address"], audit[2]!["address"])
      const address = String(audit[0]!["address"])
      assert.deepStrictEqual(shown.slice(-1).map(([, what]) => what), [`upload, 8 bytes, no key, ${address}`])
      assert.strictEqual(gone[2]![1], "gone: it has expired, was deleted or is used up")
      assert.deepStrictEqual(gone.slice(3).map(([time, what]) => [Number.isNaN(Date.parse(time!)), what]), [
        [false, `upload, 8 bytes, no key, ${address}`],
        [false, "delete, operator"]
      ])
      const { events } = JSON.parse(goneAsJson.stdout) as { readonly events: ReadonlyArray<Record<string, unknown>> }
      assert.deepStrictEqual(events.map(({ event, outcome }) => [event, outcome]), [
        ["upload", undefined],
        ["download", "whole"]
      ])
      assert.strictEqual(without.status, 1)
      assert.include(without.stderr, "there is no such file")
      assert.match(String(audit[0]!["address"]), /^[0-9a-f]{32}$/)
      const access = read(accessLog)
      assert.deepStrictEqual(access.map(({ method, route, status }) => `${method} ${route} ${status}`), [
        "POST / 200",
        "GET /:key 200",
        "GET /:key 404",
        "POST / 200",
        "PATCH /:key 200",
        "DELETE /:key 200",
        "POST / 200",
        "GET other 404"
      ])
      for (const path of [auditLog, accessLog]) {
        const text = Fs.readFileSync(path, "utf8")
        for (const secret of [key, hers.key, reported.key, "secret name", "127.0.0.1", "words"]) {
          assert.notInclude(text, secret)
        }
        assert.strictEqual(Fs.statSync(path).mode & 0o777, 0o600)
      }
    }))

  it.live(
    "has addresses in the logs if the operator wants them, and learns at the start of a log that cannot be written",
    () =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        const accessLog = Path.join(folder, "access.jsonl")
        const server = yield* startStoppable({ accessLog, logAddresses: true })
        yield* call(`${server.url}/me`)
        // Renaming a log rotates it.
        yield* eventually("the line is written", () => Fs.statSync(accessLog).size > 0)
        Fs.renameSync(accessLog, `${accessLog}.1`)
        yield* call(`${server.url}/me`, { headers: anna })
        yield* Scope.close(server.scope, Exit.void)
        assert.include(Fs.readFileSync(`${accessLog}.1`, "utf8"), "\"status\":401")
        assert.include(Fs.readFileSync(accessLog, "utf8"), "\"address\":\"127.0.0.1\"")
        const { status, stderr } = yield* run([
          "--port",
          "0",
          "--data",
          folder,
          "--audit-log",
          Path.join(folder, "no", "log")
        ])
        assert.strictEqual(status, 1)
        assert.match(
          stderr,
          /^fileio-server: cannot write the log .*; check that its folder exists and can be written\n$/
        )
      })
  )

  it.live("gets the program's own lines in the format of its logs", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const args = ["--port", "0", "--admin-port", "none", "--data", folder, "--log-format", "json"]
      const child = spawn(process.execPath, [BIN, ...args], { stdio: ["ignore", "pipe", "inherit"] })
      let output = ""
      child.stdout.on("data", (chunk) => output += String(chunk))
      yield* eventually("it listens", () => output.includes("\n"))
      child.kill("SIGTERM")
      yield* Effect.promise(() => new Promise((resolve) => child.once("close", resolve)))
      const said = output.trimEnd().split("\n").map((line) =>
        (JSON.parse(line) as { readonly message: string }).message
      )
      assert.strictEqual(said.length, 2)
      assert.match(said[0]!, /^file\.io on http:/)
      assert.strictEqual(said[1], "stopping: running transfers have at most 20s")
      const wrong = yield* run(["--log-level", "loud", "--data", folder])
      assert.strictEqual(wrong.status, 1)
      assert.match(wrong.stderr, /^fileio-server: --log-level: "loud" .* debug, info, warn, error, none\n$/)
    }))

  it.effect("bounds the life of all files, whatever their plan says", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ maxLife: "2 days" })
      const refused = yield* upload(url, "x", { fields: { expires: "3d" } })
      assertRefused(refused, 402, "PLAN_LIMIT")
      assert.strictEqual(refused.json["allowed"], 2 * 24 * 60 * 60)
      assertRefused(yield* upload(url, "x", { fields: { autoDelete: "false" } }), 402, "PLAN_LIMIT")
      const { expires } = (yield* uploaded(url, "x")) as { readonly expires?: string }
      assert.isAtMost(Date.parse(expires!), 2 * 24 * 60 * 60 * 1000)
      assert.strictEqual((yield* upload(url, "x", { fields: { expires: "1d" } })).status, 200)
    }))

  it.live(
    "refuses contents and addresses that the blocklist has, from the moment that it has them",
    () =>
      Effect.gen(function*() {
        const folder = yield* temporaryFolder
        const blocklist = Path.join(folder, "blocklist")
        Fs.writeFileSync(blocklist, "# nothing yet\n\n")
        const server = yield* start({ blocklist, trustedProxies: ["127.0.0.1"], admin: {} })
        const data = ["--data", server.folder]
        const bad = pattern(100_000)
        const { key } = yield* uploaded(server.url, bad)
        const [[entry] = []] = yield* lines(["files", "digest", key, ...data])
        assert.strictEqual(entry, `sha256:${createHash("sha256").update(bad).digest("hex")}`)
        assert.strictEqual((yield* lines(["files", "show", key, ...data])).find(([name]) => name === "begun")![1], "0")

        Fs.appendFileSync(
          blocklist,
          `${entry!.toUpperCase().replace("SHA256", "sha256")} reported\r\n203.0.113.0/24 a network\n`
        )
        yield* eventually(
          "it is refused",
          () => Effect.runPromise(upload(server.url, bad)).then(({ status }) => status === 403)
        )
        const stored = blobs(server).length
        assertRefused(yield* upload(server.url, bad), 403, "BLOCKED")
        assertRefused(
          yield* call(server.url, {
            method: "POST",
            body: bad,
            headers: { "content-type": "application/octet-stream" }
          }),
          403,
          "BLOCKED"
        )
        const hers = yield* uploaded(server.url, "hers", { headers: anna })
        const form = new FormData()
        form.set("file", new Blob([bad]), "bad")
        assertRefused(
          yield* call(`${server.url}/${hers.key}`, { method: "PATCH", headers: anna, body: form }),
          403,
          "BLOCKED"
        )
        assert.strictEqual(blobs(server).length, stored + 1)
        assert.strictEqual((yield* upload(server.url, bad.subarray(1))).status, 200)

        const from = (address: string) => call(`${server.url}/me`, { headers: { ...anna, "x-forwarded-for": address } })
        assertRefused(yield* from("203.0.113.9"), 403, "BLOCKED")
        assert.strictEqual((yield* from("203.0.114.9")).status, 200)

        // A torn file keeps blocking what it blocked, and the health reports it.
        Fs.writeFileSync(blocklist, "sha256:12\n")
        yield* eventually(
          "the health says so",
          () =>
            Effect.runPromise(call(`${server.adminUrl!}/healthz`)).then(({ json }) =>
              "blocklist" in (json["faults"] as object)
            )
        )
        assertRefused(yield* upload(server.url, bad), 403, "BLOCKED")
        const wrong = yield* Effect.flip(start({ blocklist }))
        assert.include(wrong.message, "line 1 is neither sha256:HEX, nor an address, nor a network")
      })
  )

  it.live("sends traces, metrics and logs by OpenTelemetry's variables, without keys", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const sent = new Map<string, string>()
      const collector = Http.createServer((request, response) => {
        void text(request).then((body) => {
          sent.set(request.url!, (sent.get(request.url!) ?? "") + body)
          response.end("{}")
        })
      })
      yield* Effect.acquireRelease(
        Effect.promise(() => new Promise<void>((resolve) => collector.listen(0, "127.0.0.1", resolve))),
        () => Effect.sync(() => collector.close())
      )
      const { port } = collector.address() as AddressInfo
      const args = ["--port", "0", "--admin-port", "none", "--data", folder]
      const child = spawn(process.execPath, [BIN, ...args], {
        stdio: ["ignore", "pipe", "inherit"],
        env: { ...process.env, OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`, OTEL_SERVICE_NAME: "our-files" }
      })
      let output = ""
      child.stdout.on("data", (chunk) => output += String(chunk))
      yield* eventually("it listens", () => output.includes("\n"))
      const { key } = yield* uploaded(/file\.io on (\S+?),/.exec(output)![1]!, "traced")
      child.kill("SIGTERM")
      yield* Effect.promise(() => new Promise((resolve) => child.once("close", resolve)))
      assert.include(sent.get("/v1/traces")!, "http.server POST")
      assert.include(sent.get("/v1/traces")!, "our-files")
      assert.include(sent.get("/v1/metrics")!, "fileio_uploads_total")
      for (const body of sent.values()) assert.notInclude(body, key)
    }))

  it.live("learns on an old Node which one is needed, from both programs", () =>
    Effect.gen(function*() {
      const old = "data:text/javascript,Object.defineProperty(process.versions,'node',{value:'20.20.2'})"
      for (
        const [program, path] of [["fileio-server", BIN], ["fileio", BIN.replace("server/src", "cli/src")]] as const
      ) {
        const { status, stderr } = yield* Effect.sync(() =>
          spawnSync(process.execPath, ["--import", old, path, "--help"], { encoding: "utf8" })
        )
        assert.strictEqual(status, 1)
        assert.match(stderr, new RegExp(`^${program}: Node 20\\.20\\.2 is too old\\b.*22\\.19 or newer`, "s"))
      }
    }))
})
