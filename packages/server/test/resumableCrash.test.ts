/** `kill -9` in the middle of resumable uploads: `FILEIO_KILLS=300` for a long run. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import * as ReadLine from "node:readline"
import { fileURLToPath } from "node:url"
import { ask, finish, offsetOf, PARTIAL } from "./resumableClient.ts"
import { pattern, temporaryFolder } from "./support.ts"

const KILLS = Number(process.env["FILEIO_KILLS"] ?? 6)
/** Each part of a file is then larger than what the system buffers, so that some of it has arrived. */
const KILLS_OF_A_FILE = 6
const CHILD = fileURLToPath(new URL("crash/child.ts", import.meta.url))
const SIZE = 48 * 1024 * 1024

interface Server {
  readonly url: string
  readonly kill: () => Promise<void>
}

const serve = async (folder: string): Promise<Server> => {
  const child = spawn(process.execPath, [CHILD], { stdio: ["pipe", "pipe", "inherit"] })
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  child.stdin.write(`${JSON.stringify({ folders: [folder], grace: 4000 })}\n`)
  const line = await new Promise<string>((resolve) =>
    ReadLine.createInterface({ input: child.stdout }).once("line", resolve)
  )
  const [url] = JSON.parse(line) as [string]
  return {
    url,
    kill: () => {
      child.kill("SIGKILL")
      return ended
    }
  }
}

/** Appends until the connection breaks; calls `onSent` with the bytes that the system has taken. */
const stream = (
  url: string,
  path: string,
  body: Buffer,
  offset: number,
  onSent: (bytes: number) => void
): Promise<void> =>
  new Promise((resolve) => {
    const { host, hostname, port } = new URL(url)
    const socket = Net.connect({ host: hostname, port: Number(port) })
    let sent = offset
    const next = () => {
      if (sent >= body.length) return
      const piece = body.subarray(sent, sent + 256 * 1024)
      sent += piece.length
      socket.write(piece, (error) => {
        if (error) return
        onSent(sent)
        next()
      })
    }
    socket.on("error", () => {})
    socket.on("close", () => resolve())
    const fields = {
      host,
      "content-length": body.length - offset,
      ...PARTIAL,
      "upload-offset": offset,
      "upload-complete": "?1"
    }
    socket.write(
      `PATCH ${path} HTTP/1.1\r\n${
        Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`).join("")
      }\r\n`,
      next
    )
  })

/** Sends one file to a server that is killed while it comes, and is then another one; returns the bytes that survived kills. */
const uploadKilled = async (folder: string, running: { server: Server }, body: Buffer, kills: number) => {
  let survived = 0
  const headers = { "upload-complete": "?0", "upload-length": String(SIZE) }
  const begun = await ask(running.server.url, { method: "POST", path: "/", headers })
  const path = begun.headers["location"]!
  let acknowledged = 0
  for (let killed = 0; killed < kills; killed++) {
    const { offset } = await offsetOf(running.server.url, path)
    assert.isAtLeast(offset, acknowledged, "what was acknowledged is there")
    survived += offset - acknowledged
    acknowledged = offset
    const [name] = Fs.readdirSync(Path.join(folder, "unfinished"))
    if (name !== undefined) {
      const stored = Fs.readFileSync(Path.join(folder, "unfinished", name))
      assert.isTrue(stored.equals(body.subarray(0, stored.length)), "the bytes are a beginning of the file")
      assert.strictEqual(stored.length, offset)
    }
    // Somewhere in the next part of the file; the last one is left for the end.
    const until = offset + Math.floor((SIZE - offset) / (kills - killed + 1)) - (killed * 7919) % 65_536
    let dying: Promise<void> | undefined
    const { kill, url } = running.server
    await stream(url, path, body, offset, (sent) => {
      if (sent >= until) dying ??= kill()
    })
    await (dying ?? kill())
    running.server = await serve(folder)
  }
  const { offset } = await offsetOf(running.server.url, path)
  const last = await finish(running.server.url, path, body, offset)
  assert.strictEqual(last.status, 200, last.text)
  const { key } = JSON.parse(last.text) as { readonly key: string }
  const got = Buffer.from(await (await fetch(`${running.server.url}/${key}`)).arrayBuffer())
  assert.isTrue(got.equals(body))
  return survived
}

describe("kill -9 while an upload comes", () => {
  it.live("loses nothing acknowledged, and stores exactly what was sent", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const body = pattern(SIZE)
      yield* Effect.promise(async () => {
        const running = { server: await serve(folder) }
        let survived = 0
        try {
          for (let left = KILLS; left > 0; left -= KILLS_OF_A_FILE) {
            survived += await uploadKilled(folder, running, body, Math.min(left, KILLS_OF_A_FILE))
          }
        } finally {
          await running.server.kill()
        }
        if (KILLS > KILLS_OF_A_FILE) process.stderr.write(`${KILLS} kills, ${survived} bytes survived one\n`)
      })
    }), 60_000 + KILLS * 20_000)
})
