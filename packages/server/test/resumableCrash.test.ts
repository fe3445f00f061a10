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

describe("kill -9 while an upload comes", () => {
  it.live("loses nothing acknowledged, and stores exactly what was sent", () =>
    Effect.gen(function*() {
      const folder = yield* temporaryFolder
      const body = pattern(SIZE)
      yield* Effect.promise(async () => {
        let server = await serve(folder)
        try {
          const begun = await ask(server.url, {
            method: "POST",
            path: "/",
            headers: { "upload-complete": "?0", "upload-length": String(SIZE) }
          })
          const path = begun.headers["location"]!
          let acknowledged = 0
          for (let kills = 0; kills < KILLS; kills++) {
            const { offset } = await offsetOf(server.url, path)
            assert.isAtLeast(offset, acknowledged, "what was acknowledged is there")
            acknowledged = offset
            const [name] = Fs.readdirSync(Path.join(folder, "unfinished"))
            if (name !== undefined) {
              const stored = Fs.readFileSync(Path.join(folder, "unfinished", name))
              assert.isTrue(stored.equals(body.subarray(0, stored.length)), "the bytes are a beginning of the file")
              assert.strictEqual(stored.length, offset)
            }
            // Somewhere in the next part of the file; the last one is left for the end.
            const until = offset + Math.floor((SIZE - offset) / (KILLS - kills + 1)) - (kills * 7919) % 65_536
            let killed: Promise<void> | undefined
            const { kill, url } = server
            await stream(url, path, body, offset, (sent) => {
              if (sent >= until) killed ??= kill()
            })
            await (killed ?? kill())
            server = await serve(folder)
          }
          const { offset } = await offsetOf(server.url, path)
          const last = await finish(server.url, path, body, offset)
          assert.strictEqual(last.status, 200, last.text)
          const { key } = JSON.parse(last.text) as { readonly key: string }
          const got = Buffer.from(await (await fetch(`${server.url}/${key}`)).arrayBuffer())
          assert.isTrue(got.equals(body))
        } finally {
          await server.kill()
        }
      })
    }), 60_000 + KILLS * 20_000)
})
