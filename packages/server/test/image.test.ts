import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile, spawn } from "node:child_process"
import { promisify } from "node:util"
import { call, eventually, uploaded } from "./support.ts"

/** It takes five minutes, root, buildah and debootstrap, so it runs only on request. */
const isAsked = process.env["FILEIO_IMAGE"] !== undefined
if (!isAsked) {
  process.stderr.write(
    "the image is built and started only with FILEIO_IMAGE=1, as root, with buildah and debootstrap\n"
  )
}

const environment = { ...process.env, BUILDAH_ISOLATION: "chroot", STORAGE_DRIVER: "vfs" }
const run = (command: string, ...args: ReadonlyArray<string>) =>
  Effect.promise(() =>
    promisify(execFile)(command, args, { env: environment, maxBuffer: 1e8 }).then(({ stdout }) => stdout.trim())
  )

describe.skipIf(!isAsked)("the image", () => {
  it.live(
    "is built on a Debian root, starts, keeps files of an account and stops when it is told to",
    () =>
      Effect.gen(function*() {
        yield* run("packages/server/deploy/build-image.sh", "--debian", "fileio-server-test")
        const container = yield* Effect.acquireRelease(
          run("buildah", "from", "fileio-server-test"),
          (name) => Effect.ignore(run("buildah", "rm", name))
        )
        const inside = (...args: ReadonlyArray<string>) => ["run", "--user", "node", container, "--", ...args]
        const server = yield* Effect.acquireRelease(
          Effect.sync(() =>
            spawn("buildah", inside("fileio-server", "--port", "28080", "--admin-port", "28081"), { env: environment })
          ),
          (child) => Effect.sync(() => child.kill("SIGKILL"))
        )
        let output = ""
        server.stdout.on("data", (chunk) => output += String(chunk))
        server.stderr.on("data", (chunk) => output += String(chunk))
        yield* eventually("it listens", () => output.includes("file.io on"), 120_000)
        assert.strictEqual((yield* call("http://127.0.0.1:28081/healthz")).json["status"], "ok")
        const key = yield* run("buildah", ...inside("fileio-server", "keys", "create", "anna", "--plan", "premium"))
        const headers = { authorization: `Bearer ${key}` }
        yield* eventually(
          "the key is known",
          () => fetch("http://127.0.0.1:28080/me", { headers }).then(({ status }) => status === 200)
        )
        const file = yield* uploaded("http://127.0.0.1:28080", "in a container", { headers })
        assert.strictEqual((yield* call(`http://127.0.0.1:28080/${file.key}`)).text, "in a container")
        // The image contains the packages of the engines: only the engines themselves are missing.
        for (
          const flag of [
            "--catalog=postgresql://127.0.0.1:1/x",
            "--blobs=s3://x?endpoint=http://127.0.0.1:1",
            "--rate-counter=redis://127.0.0.1:1"
          ]
        ) {
          const said = yield* Effect.promise(() =>
            promisify(execFile)(
              "buildah",
              inside("fileio-server", "--port=0", "--admin-port=none", "--data=/tmp/other", flag),
              {
                env: environment
              }
            ).then(() => "it started", (error: { readonly stderr: string }) => error.stderr)
          )
          assert.match(said, /127\.0\.0\.1|answer|connect|reach/, flag)
          assert.notInclude(said, "needs the package")
        }
        server.kill("SIGTERM")
        yield* Effect.promise(() => new Promise((resolve) => server.once("close", resolve)))
        assert.include(output, "stopping")
      }).pipe(Effect.scoped),
    900_000
  )
})
