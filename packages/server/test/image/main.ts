/**
 * Builds the image on a Debian root, starts it, and looks whether it serves: `pnpm --filter @effect-fileio/server image`. It
 * takes five minutes, root, buildah and debootstrap.
 */
import assert from "node:assert/strict"
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { setTimeout } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

const env = { BUILDAH_ISOLATION: "chroot", STORAGE_DRIVER: "vfs", ...process.env }
const run = (command: string, ...args: ReadonlyArray<string>): Promise<string> =>
  promisify(execFile)(command, args, { env, maxBuffer: 1e8 }).then(({ stdout }) => stdout.trim())

const until = async (what: string, holds: () => boolean | Promise<boolean>) => {
  for (let tries = 0; !(await holds()); tries++) {
    assert.ok(tries < 600, `it did not come about: ${what}`)
    await setTimeout(200)
  }
}

const ADDRESS = "http://127.0.0.1:28080"
console.log("building the image ...")
await run(fileURLToPath(new URL("../../deploy/build-image.sh", import.meta.url)), "--debian", "fileio-server-test")
const container = await run("buildah", "from", "fileio-server-test")
const inside = (...args: ReadonlyArray<string>) => ["run", "--user", "node", container, "--", ...args]
const server = spawn("buildah", inside("fileio-server", "--port", "28080", "--admin-port", "28081"), { env })
try {
  let output = ""
  for (const stream of [server.stdout, server.stderr]) stream.on("data", (chunk) => output += String(chunk))
  await until("it listens", () => output.includes("file.io on"))
  const health = await fetch("http://127.0.0.1:28081/healthz").then((response) => response.json()) as {
    readonly status: string
  }
  assert.equal(health.status, "ok")

  const key = await run("buildah", ...inside("fileio-server", "keys", "create", "anna", "--plan", "premium"))
  const headers = { authorization: `Bearer ${key}` }
  await until("the key is known", () => fetch(`${ADDRESS}/me`, { headers }).then(({ status }) => status === 200))
  const form = new FormData()
  form.set("file", new Blob(["in a container"]), "file.txt")
  const sent = await fetch(ADDRESS, { method: "POST", body: form, headers }).then((response) => response.json()) as {
    readonly key: string
  }
  assert.equal(await fetch(`${ADDRESS}/${sent.key}`).then((response) => response.text()), "in a container")

  // What PostgreSQL, S3 and Redis need is in the image: only what they lead to is missing.
  for (
    const flag of [
      "--catalog=postgresql://127.0.0.1:1/x",
      "--blobs=s3://x?endpoint=http://127.0.0.1:1",
      "--rate-counter=redis://127.0.0.1:1"
    ]
  ) {
    const args = inside("fileio-server", "--port=0", "--admin-port=none", "--data=/tmp/other", flag)
    const said = await promisify(execFile)("timeout", ["20", "buildah", ...args], { env }).then(
      ({ stdout }) => stdout,
      (error: { readonly stderr: string; readonly stdout: string }) => error.stderr + error.stdout
    )
    console.log(`${flag}: ${said.trim().split("\n")[0]!}`)
    assert.ok(!said.includes("needs the package"), said)
  }

  const closed = once(server, "close")
  // buildah ends its container without a word; an engine of containers would send the signal to this process.
  await run("pkill", "-TERM", "-f", "^node .*fileio-server --port 28080")
  await closed
  assert.ok(output.includes("stopping"), output)
  console.log("the image works")
} finally {
  server.kill("SIGKILL")
  await run("buildah", "rm", container).catch(() => {})
}
