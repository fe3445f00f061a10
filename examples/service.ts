/** Provided as a layer: a service that gives files as one-time links and does not depend on HTTP. */
import { FileBody, FileIo } from "@effect-fileio/client"
import type { FileIoError } from "@effect-fileio/core"
import { Console, Context, Effect, Layer } from "effect"
import { run } from "./internal/run.ts"

class Invoices extends Context.Service<Invoices, {
  readonly share: (customer: string) => Effect.Effect<string, FileIoError.FileIoError>
}>()("examples/Invoices") {
  static readonly layer = Layer.effect(
    Invoices,
    Effect.gen(function*() {
      const fileIo = yield* FileIo.FileIo
      return Invoices.of({
        share: Effect.fn("Invoices.share")(function*(customer) {
          const invoice = FileBody.text(`Invoice for ${customer}`, { name: `${customer}.txt` })
          const file = yield* fileIo.upload(invoice, { expires: "1d" })
          return file.link
        })
      })
    })
  )
}

const program = Effect.gen(function*() {
  const invoices = yield* Invoices
  const link = yield* invoices.share("Ada")
  yield* Console.log("send this to Ada:", link)
})

run(Effect.provide(program, Invoices.layer))
