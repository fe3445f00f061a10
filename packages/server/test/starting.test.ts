/** A server that cannot start says in one line what is wrong, and what to do. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { DatabaseSync } from "node:sqlite"
import * as FileIoServer from "../src/FileIoServer.ts"
import type * as ServerOptions from "../src/ServerOptions.ts"
import { temporaryFolder } from "./support.ts"

const start = (options: ServerOptions.Options) => Effect.scoped(Layer.build(FileIoServer.layer(options)))

const problemOf = (options: ServerOptions.Options) =>
  Effect.map(Effect.flip(start(options)), (error) => {
    assert.notInclude(error.message, "\n")
    return error.message
  })

const inFolder = (name: string, prepare: (path: string) => void = () => {}) =>
  Effect.map(temporaryFolder, (folder) => {
    const path = Path.join(folder, name)
    prepare(path)
    return path
  })

describe("a server that cannot start says why", () => {
  it.effect("if its address is unavailable", () =>
    Effect.gen(function*() {
      const dataDirectory = yield* inFolder("data")
      const taken = yield* Effect.acquireRelease(
        Effect.promise(() =>
          new Promise<Net.Server>((resolve) => {
            const server = Net.createServer().listen(0, "127.0.0.1", () => resolve(server))
          })
        ),
        (server) => Effect.sync(() => server.close())
      )
      const { port } = taken.address() as Net.AddressInfo
      const says = (options: Partial<ServerOptions.Options>) => problemOf({ dataDirectory, ...options })
      const isTaken =
        `cannot listen on 127.0.0.1:${port}: the port is taken; give another port (0 takes a free one), or stop the program that has it`
      assert.strictEqual(yield* says({ host: "127.0.0.1", port }), isTaken)
      assert.strictEqual(yield* says({ port: 0, admin: { host: "127.0.0.1", port } }), isTaken)
      assert.match(
        yield* says({ host: "198.51.100.1", port: 0 }),
        /198\.51\.100\.1:0: this machine has no such address; /
      )
      assert.match(yield* says({ host: "none.invalid", port: 0 }), /none\.invalid:0: .+; give /)
    }))

  it.effect("if its folder or its catalog is unusable", () =>
    Effect.gen(function*() {
      const says = (dataDirectory: string) => problemOf({ dataDirectory, port: 0 })
      const file = yield* inFolder("file", (path) => Fs.writeFileSync(path, ""))
      assert.strictEqual(yield* says(file), `cannot use the data folder ${file}: it is a file; give a folder`)
      assert.match(yield* says(Path.join(file, "data")), /it is a file; give a folder/)

      // Linux says there of each new folder that it is not found.
      if (Fs.existsSync("/proc/self")) {
        assert.match(yield* says("/proc/data/here"), /\/proc\/data\/here: it cannot be created; /)
      }

      const newer = yield* inFolder("newer")
      yield* start({ dataDirectory: newer, port: 0 })
      const db = new DatabaseSync(Path.join(newer, "catalog.sqlite"))
      db.exec("INSERT INTO migrations (version) VALUES (99)")
      db.close()
      assert.match(
        yield* says(newer),
        /^cannot use the catalog: a newer server has changed it \(schema 99, known \d+\); start that/
      )

      const torn = yield* inFolder("torn", (path) => {
        Fs.mkdirSync(path)
        Fs.writeFileSync(Path.join(path, "catalog.sqlite"), Buffer.alloc(3000, "torn"))
      })
      assert.match(
        yield* says(torn),
        /catalog\.sqlite in the data folder is damaged, or no catalog; restore it from a backup/
      )
    }))

  it.effect("if an engine cannot be reached, without its password", () =>
    Effect.gen(function*() {
      const dataDirectory = yield* inFolder("data")
      const message = yield* problemOf({
        dataDirectory,
        port: 0,
        engineTimeout: "2 seconds",
        catalog: "postgresql://anna:secret@127.0.0.1:1/files"
      })
      assert.match(
        message,
        /^cannot use the catalog: PostgreSQL at 127\.0\.0\.1:1\/files cannot be used.*; check that it runs/
      )
      assert.notInclude(message, "secret")
      const redis = yield* problemOf({ dataDirectory, port: 0, rateCounter: "redis://127.0.0.1:1" })
      assert.match(redis, /Redis cannot be reached/)
    }))
})
