/**
 * Servers to be killed. Loads all code first, then waits for a line with the folders, so that loading is done before the
 * previous process is killed.
 */
import { Effect, Layer, Redacted } from "effect"
import * as ReadLine from "node:readline"
import * as FileIoServer from "../../src/FileIoServer.ts"
import { ANNA } from "../support.ts"

interface Task {
  readonly folders: ReadonlyArray<string>
  readonly grace: number
}

const one = (dataDirectory: string, grace: number) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(FileIoServer.layer({
      dataDirectory,
      grace,
      sweepInterval: "100 millis",
      minFreeBytes: 0,
      anonymousPlan: "premium",
      plans: { premium: { rateLimit: null } },
      accounts: [{ name: "anna", apiKey: Redacted.make(ANNA), plan: "premium" }]
    }))
    const { url } = yield* FileIoServer.FileIoServer.pipe(Effect.provide(context))
    return url
  })

const serve = ({ folders, grace }: Task) =>
  Effect.gen(function*() {
    const urls = yield* Effect.forEach(folders, (folder) => one(folder, grace), { concurrency: "unbounded" })
    process.stdout.write(`${JSON.stringify(urls)}\n`)
    return yield* Effect.never
  }).pipe(Effect.scoped)

// The parent process may be gone.
process.stdin.on("end", () => process.exit(0))
ReadLine.createInterface({ input: process.stdin }).on("line", (line) => {
  Effect.runPromise(serve(JSON.parse(line) as Task)).catch((cause: unknown) => {
    process.stderr.write(`${String(cause)}\n`)
    process.exit(1)
  })
})
