/**
 * What it costs that an upload can be resumed, where nothing breaks: the same file to the same server as a form, and as a
 * resumable upload, in turn. The ratio of the medians is to stay below 1.02 for a large file.
 *
 * `pnpm bench resumable [--mib 512] [--rounds 9]`
 */
import { FileBody, FileIo } from "@effect-fileio/client"
import { NodeFileIo } from "@effect-fileio/platform-node"
import { FileIoServer } from "@effect-fileio/server"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer } from "effect"
import { randomFillSync } from "node:crypto"
import { mkdtemp, open, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { median } from "./internal/measure.ts"

const { values } = parseArgs({
  options: { mib: { type: "string", default: "512" }, rounds: { type: "string", default: "9" } }
})
const MIB = 1024 * 1024
const mib = Number(values.mib)
const rounds = Number(values.rounds)

const folder = await mkdtemp(join(tmpdir(), "fileio-bench-"))
const path = join(folder, "source.bin")
const file = await open(path, "w")
const block = randomFillSync(new Uint8Array(MIB))
for (let i = 0; i < mib; i++) await file.write(block)
await file.close()

const client = (baseUrl: string, resumableFrom: number) =>
  Effect.map(
    Layer.build(Layer.fresh(NodeFileIo.layer({ baseUrl, resumableFrom }))),
    (context) => FileIo.FileIo.pipe(Effect.provide(context))
  ).pipe(Effect.flatten)

const program = Effect.gen(function*() {
  const { url } = yield* FileIoServer.FileIoServer
  const clients = { form: yield* client(url, Infinity), resumable: yield* client(url, 1) }
  const times: Record<keyof typeof clients, Array<number>> = { form: [], resumable: [] }
  for (let round = -1; round < rounds; round++) {
    // Each goes first in turn.
    const order = round % 2 === 0 ? ["form", "resumable"] as const : ["resumable", "form"] as const
    for (const name of order) {
      const body = yield* FileBody.file(path)
      const began = performance.now()
      const { key } = yield* clients[name].upload(body)
      const took = performance.now() - began
      // The first round loads the code.
      if (round >= 0) times[name].push(took)
      yield* Effect.promise(() =>
        fetch(`${url}/${key}`).then((response) => response.body!.pipeTo(new WritableStream()))
      )
    }
  }
  const form = median(times.form)
  const resumable = median(times.resumable)
  console.log(
    JSON.stringify({
      bench: "resumable",
      mib,
      rounds,
      formMs: Math.round(form),
      resumableMs: Math.round(resumable),
      ratio: resumable / form
    })
  )
})

await Effect.runPromise(
  program.pipe(Effect.scoped, Effect.provide([FileIoServer.layerTemporary(), NodeServices.layer]))
)
await rm(folder, { recursive: true, force: true })
