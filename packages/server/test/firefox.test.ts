/** The pages in Firefox: its streams, workers and downloads are not Chromium's. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { run } from "./browser.ts"
import { hasFirefox, openFirefox } from "./firefox.ts"
import { blobs, call, pattern, start, temporaryFolder } from "./support.ts"

describe.skipIf(!hasFirefox)("the pages in Firefox", () => {
  it.live(
    "a file is encrypted, sent in pieces, received and decrypted: a small one at once, a large one while it comes",
    () =>
      Effect.gen(function*() {
        const server = yield* start({ anonymousPlan: "free", plans: { free: { rateLimit: null } } })
        const [sources, saved] = [yield* temporaryFolder, yield* temporaryFolder]
        const firefox = yield* openFirefox(saved)
        // The second one is above the size that the page keeps in memory.
        for (const [name, bytes] of [["Übersicht.bin", 700_000], ["large.bin", 66_000_000]] as const) {
          const source = Path.join(sources, name)
          const content = pattern(bytes)
          Fs.writeFileSync(source, content)
          const link = yield* run(async () => {
            await firefox.goto(server.url)
            await firefox.choose("#file", source)
            await firefox.until("document.querySelector('#chosen-list li') !== null")
            await firefox.click("#upload [type=submit]")
            await firefox.until("document.querySelector('#link-0') !== null")
            return String(await firefox.evaluate("document.querySelector('#link-0').value"))
          })
          assert.include(link, "#age=AGE-SECRET-KEY-1")
          for (const blob of blobs(server)) {
            const stored = Fs.readFileSync(Path.join(server.folder, "blobs", blob))
            assert.isTrue(stored.subarray(0, 21).equals(Buffer.from("age-encryption.org/v1")))
          }
          const download = yield* run(async () => {
            await firefox.goto(link)
            await firefox.until(`document.querySelector("h1").textContent === ${JSON.stringify(name)}`)
            await firefox.click("#download [type=submit]")
            const download = await firefox.download()
            await firefox.until("document.querySelector('#said').textContent.startsWith('Done')")
            return download
          })
          assert.strictEqual(download.status, "complete")
          assert.strictEqual(Path.basename(download.filepath!), name)
          assert.isTrue(Fs.readFileSync(download.filepath!).equals(content), name)
          assert.strictEqual((yield* call(link)).status, 404)
        }
        assert.deepStrictEqual(firefox.seen, [])
      })
  )
})
