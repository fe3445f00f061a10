/** What the page of senders keeps and refuses, so that no link and no file is lost in silence. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { close, free, hasChromium, launch, open, run, send, until } from "./browser.ts"
import { call, start, temporaryFolder } from "./support.ts"

const small = (name: string) => ({ name, mimeType: "", buffer: Buffer.from(name) })

describe.skipIf(!hasChromium)("sending in a real browser", () => {
  beforeAll(launch, 60_000)
  afterAll(close)

  it.live("every link whose file is there stays in the list, with what deletes it; only those that are gone make room", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const { context, page, seen } = yield* open(url)
      const rows = page.locator("#links-list > li")
      yield* run(async () => {
        await page.goto(url)
        await page.locator("#file").setInputFiles(small("first.bin"))
        await send(page)
        await context.route(/\/status\/0+6\d$/, (route) => route.fulfill({ json: { state: "available" } }))
        // Seventy newer ones, of which sixty are gone.
        await page.evaluate(`{
          const [name] = Object.keys(localStorage).filter((name) => name.startsWith("fileio-link "))
          const first = JSON.parse(localStorage.getItem(name))
          for (let index = 0; index < 70; index++) {
            const key = String(index).padStart(first.key.length, "0")
            localStorage.setItem(name.replace(first.key, key), JSON.stringify({
              ...first, key, name: "later " + index, sentAt: first.sentAt + 1 + index, isGone: index < 60
            }))
          }
        }`)
        await page.reload()
        await rows.nth(19).waitFor()
        assert.strictEqual(await rows.count(), 20)
        await page.getByRole("button", { name: "Show all 71" }).click()
        assert.strictEqual(await rows.count(), 71)
        assert.isTrue(await page.locator("#links-more").isHidden())
        // Another link drops ten of those that are gone, and two tabs keep what each has sent.
        const other = await context.newPage()
        await other.goto(url)
        for (const [tab, name] of [[page, "a.bin"], [other, "b.bin"]] as const) {
          await tab.locator("#file").setInputFiles(small(name))
          await send(tab)
        }
        await page.reload()
        await page.getByRole("button", { name: "Show all 63" }).click()
        for (const name of ["first.bin", "a.bin", "b.bin", "later 69", "later 60", "later 10"]) {
          assert.strictEqual(await rows.filter({ has: page.getByText(name, { exact: true }) }).count(), 1, name)
        }
        const first = rows.filter({ hasText: "first.bin" })
        await first.getByRole("button", { name: "Delete" }).click()
        await first.getByRole("button", { name: "Delete for good?" }).click()
        await first.getByText("deleted", { exact: true }).waitFor()
        await until(page, `document.querySelector("#links-list > li:last-child") !== null`)
        assert.isTrue(await first.getByRole("button", { name: "Copy the link" }).isHidden())
      })
      assert.deepStrictEqual(seen, [])
    }))

  it.live("a browser whose storage is full gives up links of files that are gone, and says when it keeps none", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const { page } = yield* open(url)
      /** Leaves no room, except perhaps what a link has whose file is gone. */
      const fillStorage = (hasGone: boolean) =>
        page.evaluate(`{
          if (${hasGone}) localStorage.setItem("fileio-link " + location.origin + " gone", JSON.stringify({
            key: "gone", name: "x".repeat(10_000), link: "", sentAt: 1, isGone: true
          }))
          for (let bytes = 1_000_000, number = 0; bytes >= 1;) {
            try {
              localStorage.setItem(Date.now() + " " + number++, "x".repeat(bytes))
            } catch {
              bytes /= 10
            }
          }
        }`)
      const links = yield* run(async () => {
        await page.goto(url)
        await fillStorage(true)
        await page.locator("#file").setInputFiles(small("a.bin"))
        const kept = await send(page)
        await page.locator("#links-list").getByText("a.bin").waitFor()
        assert.isFalse(await page.getByText("This browser did not keep the link in its list").isVisible())
        await fillStorage(false)
        await page.reload()
        await page.locator("#file").setInputFiles(small("b.bin"))
        const unkept = await send(page)
        await page.getByText("This browser did not keep the link in its list").waitFor()
        await page.locator("#links-list").getByText("a.bin").waitFor()
        return [kept, unkept]
      })
      for (const link of links) assert.strictEqual((yield* call(link, { method: "HEAD" })).status, 200)
    }))

  it.live("a file that changes while it is sent gives no link, alone or in an archive", () =>
    Effect.gen(function*() {
      const server = yield* start(free)
      const folder = yield* temporaryFolder
      const path = Path.join(folder, "a.bin")
      const { page } = yield* open(server.url)
      for (const isArchive of [false, true]) {
        for (const isEncrypted of [true, false]) {
          // More than a browser reads ahead.
          Fs.writeFileSync(path, Buffer.alloc(12_000_000, 1))
          yield* run(async () => {
            await page.goto(server.url)
            await page.locator("#file").setInputFiles(path)
            if (isArchive) {
              await page.locator("#file").setInputFiles(small("b.bin"))
              await page.getByLabel("Send the files as one ZIP archive").check()
            }
            if (!isEncrypted) await page.getByLabel("Encrypt in this browser").uncheck()
            let isChanged = false
            await page.route("**/uploads/**", async (route) => {
              if (route.request().method() === "PATCH" && !isChanged) {
                isChanged = true
                const file = Fs.openSync(path, "r+")
                Fs.writeSync(file, Buffer.alloc(6_000_000, 2), 0, 6_000_000, 6_000_000)
                Fs.closeSync(file)
              }
              await route.continue()
            })
            await page.getByRole("button", { name: "Upload" }).click()
            await page.getByRole("alert").getByText("A file cannot be read: it was changed").waitFor()
            assert.isTrue(isChanged)
            assert.strictEqual(await page.locator("#results input").count(), 0)
            await page.unrouteAll({ behavior: "ignoreErrors" })
          })
        }
      }
    }))
})
