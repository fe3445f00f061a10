import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { readdirSync } from "node:fs"
import { join } from "node:path"

const folder = join(import.meta.dirname, "..")
const scripts = readdirSync(folder).filter((name) => name.endsWith(".ts"))

/** What each script must print, so that one that does nothing fails. */
const expected: Record<string, ReadonlyArray<RegExp>> = {
  "quickstart.ts": [
    /64 MiB/,
    /100 %/,
    /SHA-256 .* is the one that was sent/,
    /FileNotFound +no such file/,
    /Nothing is left behind/
  ],
  "upload.ts": [/a path +http/, /a text +http/, /bytes +http/, /a stream +http.* 8893 bytes/, /just once +http/],
  "download.ts": [
    /in memory +hello\.txt 5 bytes/,
    /as a stream hello\.txt 5 .*"hello"/,
    /in a folder hello\.txt 5 bytes/,
    /at a path +greeting\.txt 5 bytes/,
    /once more +no such file/
  ],
  "encrypted.ts": [
    /the host sees +[0-9a-f]{16}\.age application\/octet-stream/,
    /the link has +#age=AGE-SECRET-KEY-1…&name=plan\.txt/,
    /saved as +plan\.txt see you at eight/,
    /without her key +the link says/,
    /with her key +see you at eight/,
    /another key +otherKey and the file is kept: true/,
    /the right one +see you at eight/
  ],
  "list.ts": [/2 of \d+: /, /100% sure & done\?\.txt 21 bytes/],
  "me.ts": [/rateLimit +\d+/, /maxUploadBytes +\d+/],
  "update.ts": [/never expires: true +downloads left: unlimited/, /content: second/],
  "replace.ts": [/downloads left: 1/, /content: second/],
  "delete.ts": [/^deleted$/m, /once more: no such file/],
  "two-accounts.ts": [/sales has +\[ 'offer\.txt' \]/, /support has \[\]/, /support gets FileNotFound/],
  "service.ts": [/send this to Ada: http/],
  "link-service.ts": [/POST \/reports\/ada 200 http/, /ada\.txt: The report for ada/],
  "backup.ts": [
    /handed over: http/,
    /state: Available\n(?:state: \w+\n)*state: Downloaded\n/,
    /was taken: everything that matters/
  ],
  "queue-worker.ts": [/12 jobs at 5 a second took more than 2 seconds: true|skipped: there is no redis-server/],
  "browser.ts": [/Finished 20 of 20 bytes/, /link: http/, /back: holiday\.png image\/png 20 bytes/],
  "tracing.ts": [/^nightly-report$/m, /^ {2}FileIo\.upload in nightly-report$/m],
  "testing.ts": [
    /all is well: +shared/,
    /refused once: +shared/,
    /the response was lost: +look first/,
    /refused by the plan: +again/,
    /files on the host: +3/,
    /uploads that came in: +5/
  ],
  "managed-runtime.ts": [/link: http/, /text: see you at eight/, /once more: FileNotFound/],
  "promises.ts": [/is a Date: true/, /listed: note\.txt 1/, /note\.txt: see you at eight/, /FileNotFound true/],
  "from-python.ts": [
    /upload +a\.txt 5/,
    /list +\d/,
    /download Hello/,
    /download bbb\.dd 5/,
    /update +b\.txt 1/,
    /delete +FileNotFound/
  ]
}

const run = (script: string) =>
  new Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>((resolve, reject) => {
    const { FILEIO_API_KEY: _key, FILEIO_BASE_URL: _url, ...env } = process.env
    const child = spawn(process.execPath, [join(folder, script)], { env, stdio: ["ignore", "pipe", "pipe"] })
    let stdout = ""
    let stderr = ""
    child.stdout.on("data", (chunk) => stdout += chunk)
    child.stderr.on("data", (chunk) => stderr += chunk)
    child.on("error", reject)
    child.on("close", (code) => resolve({ code, stdout, stderr }))
  })

describe("examples", () => {
  for (const script of scripts) {
    it(`${script} does what it says against the embedded server`, { timeout: 120_000 }, async () => {
      const { code, stderr, stdout } = await run(script)
      assert.strictEqual(code, 0, stderr)
      assert.strictEqual(stderr, "")
      const lines = expected[script] ?? []
      assert.isAbove(lines.length, 0, "say here what the script prints")
      for (const line of lines) assert.match(stdout, line)
      const skipped = /^skipped: .*$/m.exec(stdout)
      if (skipped !== null) process.stderr.write(`SKIPPED: ${script}: ${skipped[0]}\n`)
    })
  }
})
