/**
 * Runs the given blocks, one after another, against an embedded server and in its own folder, and prints a line of JSON for
 * each: `{ "file", "error"? }`.
 */
import { NodeFileIo } from "@effect-fileio/platform-node"
import { FileIoServer } from "@effect-fileio/server"
import { NodeServices } from "@effect/platform-node"
import { Effect, Layer, Redacted, type Scope } from "effect"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { pathToFileURL } from "node:url"

const apiKey = "EXAMPLE.0000001-0000002-0000003-0000004"
const folder = await mkdtemp(join(tmpdir(), "fileio-docs-"))
const print = process.stdout.write.bind(process.stdout)
// The output of the blocks is dropped; only the verdicts count here.
process.stdout.write = (() => true) as typeof process.stdout.write

const services = Layer.merge(NodeFileIo.layerConfig(), NodeServices.layer)

const runBlock = async (file: string): Promise<void> => {
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder)
  process.chdir(folder)
  await writeFile("report.pdf", "%PDF-1.7\n")
  await writeFile("package.json", "{}\n")
  const module: Record<string, unknown> = await import(pathToFileURL(file).href)
  const program = module["program"] ?? module["test"]
  if (!Effect.isEffect(program)) return
  type Services = Layer.Success<typeof services> | Scope.Scope
  await (program as Effect.Effect<unknown, unknown, Services>).pipe(
    Effect.scoped,
    Effect.provide(services),
    Effect.timeout("20 seconds"),
    Effect.runPromise
  )
}

const server = FileIoServer.layerTemporary({
  accounts: [{ name: "docs", apiKey: Redacted.make(apiKey), plan: "premium" }]
})

await FileIoServer.FileIoServer.use(({ url }) =>
  Effect.promise(async () => {
    process.env["FILEIO_BASE_URL"] = url
    process.env["FILEIO_API_KEY"] = apiKey
    for (const file of process.argv.slice(2)) {
      const error = await runBlock(file).then(() => undefined, (error: unknown) => String(error))
      print(`${JSON.stringify({ file, error })}\n`)
    }
  })
).pipe(Effect.provide(server), Effect.runPromise)
process.chdir(tmpdir())
await rm(folder, { recursive: true, force: true })
process.exit()
