/** What the page of receivers promises, in browsers that have no worker or forbid cookies. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import {
  close,
  free,
  hasChromium,
  launch,
  open,
  openWithoutStorage,
  pageOf,
  pretendLarge,
  run,
  saved,
  send
} from "./browser.ts"
import { call, start, uploaded } from "./support.ts"

const sendSmall = (url: string) =>
  Effect.gen(function*() {
    const { page } = yield* open(url)
    return yield* run(async () => {
      await page.goto(url)
      await page.locator("#file").setInputFiles({ name: "a.bin", mimeType: "", buffer: Buffer.from("content") })
      return send(page)
    })
  })

describe.skipIf(!hasChromium)("receiving in a real browser", () => {
  beforeAll(launch, 60_000)
  afterAll(close)

  for (
    const [worker, script] of [
      ["never starts", "ServiceWorkerContainer.prototype.register = () => new Promise(() => {})"],
      ["does not respond", "ServiceWorker.prototype.postMessage = () => {}"]
    ] as const
  ) {
    it.live(`a worker that ${worker} is done without`, () =>
      Effect.gen(function*() {
        const { url } = yield* start(free)
        const link = yield* sendSmall(url)
        const { page, seen } = yield* open(url)
        yield* run(async () => {
          await page.addInitScript(script)
          await pretendLarge(page)
          await page.goto(pageOf(link))
        })
        assert.strictEqual(String((yield* saved(page)).bytes), "content")
        assert.deepStrictEqual(seen, [])
      }))
  }

  it.live("a worker that stops responding when the file comes loses nothing", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const link = yield* sendSmall(url)
      const { page, seen } = yield* open(url)
      yield* run(async () => {
        await page.addInitScript(`{
          const { postMessage } = ServiceWorker.prototype
          globalThis.isSilent = true
          ServiceWorker.prototype.postMessage = function(message, ...given) {
            if (!isSilent || message === "alive") postMessage.call(this, message, ...given)
          }
        }`)
        await pretendLarge(page)
        await page.goto(pageOf(link))
        await page.getByRole("button", { name: "Download" }).click()
        await page.getByRole("alert").getByText("Your browser stopped saving the file").waitFor()
        await page.evaluate("isSilent = false")
      })
      assert.strictEqual(String((yield* saved(page)).bytes), "content")
      assert.deepStrictEqual(seen, [])
    }))

  it.live("a browser that forbids cookies is not promised its own download again, and receives without a worker", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const link = yield* sendSmall(url)
      const { key } = yield* uploaded(url, new Uint8Array(5_000_000), { name: "plain.bin" })
      const page = yield* openWithoutStorage
      yield* run(async () => {
        await page.goto(`${url}/${key}`)
        const given = page.waitForEvent("download")
        await page.getByRole("button", { name: "Download" }).click()
        await page.locator("#said").getByText("The download has begun.", { exact: true }).waitFor()
        await given
        await page.getByText("The file is gone").waitFor()
        await pretendLarge(page)
        await page.goto(pageOf(link))
      })
      assert.strictEqual(String((yield* saved(page)).bytes), "content")
      assert.strictEqual((yield* call(link)).status, 404)
    }))

  it.live("a name without an ending is saved as it is", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const { page, seen } = yield* open(url)
      const file = { name: "Makefile", mimeType: "", buffer: Buffer.from("all:") }
      for (const isLarge of [false, true]) {
        yield* run(async () => {
          await page.goto(url)
          await page.locator("#file").setInputFiles(file)
          const link = await send(page)
          if (isLarge) await pretendLarge(page)
          await page.goto(pageOf(link))
        })
        assert.strictEqual((yield* saved(page)).name, "Makefile")
      }
      assert.deepStrictEqual(seen, [])
    }))

  it.live("a reason of the host is said in a sentence of the page's language, and marked as English", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const { page } = yield* open(url, { locale: "de" })
      yield* run(async () => {
        await page.goto(url)
        await page.route(`${url}/`, (route) =>
          route.request().method() === "POST"
            ? route.fulfill({
              status: 400,
              json: { success: false, status: 400, code: "INVALID_REQUEST", message: "the host's own words" }
            })
            : route.continue())
        await page.locator("#file").setInputFiles({ name: "a.bin", mimeType: "", buffer: Buffer.from("content") })
        await page.getByRole("button", { name: "Hochladen" }).click()
        const problem = page.getByRole("alert")
        await problem.getByText("Die Datei wurde nicht hochgeladen: ").waitFor()
        assert.include((await problem.locator("[lang=en]").textContent())!, "the host's own words")
        await page.unrouteAll()
        await page.goto(`${url}/no/such/page`)
        await page.getByText("Der Server meldet: ").waitFor()
        assert.match((await page.locator("#problem [lang=en]").textContent())!, /\w.*\.$/)
      })
    }))
})
