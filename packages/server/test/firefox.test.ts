/** The pages in Firefox: its streams, workers and downloads are not Chromium's. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { free, largeFile, run, sha256 } from "./browser.ts"
import { hasFirefox, openFirefox } from "./firefox.ts"
import { network } from "./network.ts"
import { blobs, call, pattern, start, temporaryFolder, uploaded } from "./support.ts"

const MEGABYTES = Number(process.env["FILEIO_FIREFOX_MB"] ?? "100")
/** What Firefox may use for sending a file of any size. */
const MOST_MEMORY = 250_000_000

type Firefox = Effect.Success<ReturnType<typeof openFirefox>>

const choose = async (firefox: Firefox, url: string, source: string) => {
  await firefox.goto(url)
  await firefox.choose("#file", source)
  await firefox.until("document.querySelector('#chosen-list li') !== null")
  await firefox.click("#upload [type=submit]")
}

const linkOf = async (firefox: Firefox) => {
  await firefox.until("document.querySelector('#link-0') !== null")
  return String(await firefox.evaluate("document.querySelector('#link-0').value"))
}

const receive = async (firefox: Firefox, link: string, name: string) => {
  await firefox.goto(link)
  await firefox.until(`document.querySelector("h1").textContent === ${JSON.stringify(name)}`)
  await firefox.click("#download [type=submit]")
}

const saved = async (firefox: Firefox) => {
  const download = await firefox.download()
  await firefox.until("document.querySelector('#said').textContent.startsWith('Done')")
  assert.strictEqual(download.status, "complete")
  return download.filepath!
}

describe.skipIf(!hasFirefox)("the pages in Firefox", () => {
  it.live(
    "a file is encrypted, sent in pieces, received and decrypted: a small one at once, a large one while it comes",
    () =>
      Effect.gen(function*() {
        const server = yield* start({ anonymousPlan: "free", plans: { free: { rateLimit: null } } })
        const [sources, folder] = [yield* temporaryFolder, yield* temporaryFolder]
        const firefox = yield* openFirefox(folder)
        // The second one is above the size that the page keeps in memory.
        for (const [name, bytes] of [["Übersicht.bin", 700_000], ["large.bin", 66_000_000]] as const) {
          const source = Path.join(sources, name)
          const content = pattern(bytes)
          Fs.writeFileSync(source, content)
          const link = yield* run(async () => {
            await choose(firefox, server.url, source)
            return linkOf(firefox)
          })
          assert.include(link, "#age=AGE-SECRET-KEY-1")
          for (const blob of blobs(server)) {
            const stored = Fs.readFileSync(Path.join(server.folder, "blobs", blob))
            assert.isTrue(stored.subarray(0, 21).equals(Buffer.from("age-encryption.org/v1")))
          }
          const path = yield* run(async () => {
            await receive(firefox, link, name)
            return saved(firefox)
          })
          assert.strictEqual(Path.basename(path), name)
          assert.isTrue(Fs.readFileSync(path).equals(content), name)
          assert.strictEqual((yield* call(link)).status, 404)
        }
        assert.deepStrictEqual(firefox.seen, [])
      })
  )

  it.live(
    `${MEGABYTES} MB go up and down while the network is away in between, in the same memory`,
    () =>
      Effect.gen(function*() {
        const server = yield* start(free)
        const [sources, folder] = [yield* temporaryFolder, yield* temporaryFolder]
        const source = largeFile(sources, MEGABYTES)
        const between = yield* network(server.url)
        const firefox = yield* openFirefox(folder)
        const third = MEGABYTES * 333_333
        // A fresh Firefox starts processes for a while.
        yield* run(async () => {
          const first = largeFile(sources, 66)
          await choose(firefox, server.url, first)
          await receive(firefox, await linkOf(firefox), Path.basename(first))
          await saved(firefox)
        })
        const { length } = blobs(server)
        const link = yield* run(async () => {
          const grown = await firefox.watchMemory()
          const away = between.away(third)
          await choose(firefox, between.url, source)
          await away
          between.back()
          const link = await linkOf(firefox)
          const most = await grown()
          assert.isBelow(most, MOST_MEMORY)
          return link
        })
        assert.strictEqual(blobs(server).length, length + 1)
        const path = yield* run(async () => {
          const grown = await firefox.watchMemory()
          const away = between.away(third)
          await receive(firefox, link, Path.basename(source))
          await away
          between.back()
          const path = await saved(firefox)
          const most = await grown()
          // Firefox holds what the network brings faster than the page decrypts and saves: here, at most all of it, once.
          assert.isBelow(most, MEGABYTES * 1_000_000 + MOST_MEMORY)
          return path
        })
        assert.strictEqual(sha256(path), sha256(source))
        assert.strictEqual((yield* call(link)).status, 404)
        assert.deepStrictEqual(firefox.seen, [])
      })
  )

  it.live("a Firefox that forbids cookies, and all storage with them, sends and receives without a worker", () =>
    Effect.gen(function*() {
      const server = yield* start(free)
      const [sources, folder] = [yield* temporaryFolder, yield* temporaryFolder]
      const source = largeFile(sources, 66)
      const firefox = yield* openFirefox(folder, { "network.cookie.cookieBehavior": 2 })
      const { key } = yield* uploaded(server.url, new Uint8Array(5_000_000), { name: "plain.bin" })
      const said = yield* run(async () => {
        await firefox.goto(`${server.url}/${key}`)
        await firefox.evaluate(`{
          const said = document.querySelector("#said")
          globalThis.heard = []
          new MutationObserver(() => heard.push(said.textContent)).observe(said, { childList: true })
        }`)
        await firefox.click("#download [type=submit]")
        assert.strictEqual((await firefox.download()).status, "complete")
        await firefox.until("heard.length === 2")
        return firefox.evaluate("heard.join()")
      })
      // Without a cookie, nobody can begin the same download again, and the page does not say so.
      assert.match(String(said), /^The download has begun\.,The file is gone: /)
      const path = yield* run(async () => {
        await choose(firefox, server.url, source)
        const link = await linkOf(firefox)
        await firefox.until(`document.body.textContent.includes("This browser did not keep the link in its list")`)
        await receive(firefox, link, Path.basename(source))
        return saved(firefox)
      })
      assert.strictEqual(sha256(path), sha256(source))
      assert.deepStrictEqual(firefox.seen.filter((line) => !line.includes("Storage access is restricted")), [])
    }))
})
