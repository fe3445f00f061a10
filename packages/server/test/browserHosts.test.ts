/** Downloads with the page from a host that fails in the middle: errors, limits, and files that are gone afterwards. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Page, Route } from "playwright-core"
import { close, free, hasChromium, largeFile, launch, open, run, saved, send, sha256 } from "./browser.ts"
import { network } from "./network.ts"
import { call, start, temporaryFolder } from "./support.ts"

const failure = (status: number, headers: Record<string, string> = {}) => ({
  status,
  headers,
  json: {
    success: false,
    status,
    code: status === 429 ? "TOO_MANY_REQUESTS" : "INTERNAL_ERROR",
    message: `the host's ${status}`
  }
})

/** Responds to the downloads of a page with these failures, one after the other, and then lets the host respond. */
const failing = async (page: Page, ...failures: ReadonlyArray<ReturnType<typeof failure>>) => {
  const ranges: Array<string | undefined> = []
  await page.route(/\?download=1$/, (route: Route) => {
    const failure = failures[ranges.length]
    ranges.push(route.request().headers()["range"])
    return failure === undefined ? route.continue() : route.fulfill(failure)
  })
  return ranges
}

const BUSY = [failure(429, { "retry-after": "1" }), failure(503, { "retry-after": "1" })]

describe.skipIf(!hasChromium)("receiving from a host that fails, in a real browser", () => {
  beforeAll(launch, 60_000)
  afterAll(close)

  it.live("a small file comes when a host without time has it again; after an error that may have taken it, by the next press", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const { page } = yield* open(url)
      const ranges = yield* run(async () => {
        await page.goto(url)
        await page.locator("#file").setInputFiles({ name: "a.bin", mimeType: "", buffer: Buffer.from("content") })
        await page.goto(await send(page))
        const ranges = await failing(page, failure(500), ...BUSY)
        await page.getByRole("button", { name: "Download" }).click()
        await page.getByRole("alert").getByText("The download failed: the host failed (500").waitFor()
        assert.lengthOf(ranges, 1)
        return ranges
      })
      assert.strictEqual(String((yield* saved(page)).bytes), "content")
      assert.lengthOf(ranges, 4)
      yield* run(() => page.getByText("Done: the file is complete").waitFor())
      assert.isTrue(yield* run(() => page.locator("#problem").isHidden()))
    }))

  it.live("a large file goes on where it broke when the host has recovered", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const source = largeFile(yield* temporaryFolder, 66)
      const between = yield* network(url)
      const { page } = yield* open(between.url)
      yield* run(async () => {
        await page.goto(between.url)
        await page.locator("#file").setInputFiles(source)
        const link = await send(page)
        await page.goto(link)
        const ranges = await failing(page)
        const waiting = page.waitForEvent("download")
        const away = between.away(20_000_000)
        await page.getByRole("button", { name: "Download" }).click()
        await away
        await page.unrouteAll()
        const later = await failing(page, failure(500), ...BUSY)
        between.back()
        const path = await (await waiting).path()
        await page.getByText("Done: the file is complete").waitFor()
        assert.strictEqual(sha256(path), sha256(source))
        assert.isUndefined(ranges[0])
        assert.lengthOf(later, 4)
        for (const range of later) assert.match(range!, /^bytes=[1-9]\d*-$/)
        assert.strictEqual((await fetch(link.replace(/#.*/, ""), { method: "HEAD" })).status, 404)
      })
    }))

  it.live("a large file that is gone when the network is back is not saved, and the page says so", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const source = largeFile(yield* temporaryFolder, 66)
      const between = yield* network(url)
      const sender = yield* open(url)
      const { page } = yield* open(between.url)
      yield* run(async () => {
        await sender.page.goto(url)
        await sender.page.locator("#file").setInputFiles(source)
        await page.goto((await send(sender.page)).replace(url, between.url))
        const waiting = page.waitForEvent("download")
        const away = between.away(20_000_000)
        await page.getByRole("button", { name: "Download" }).click()
        await away
        await sender.page.getByRole("button", { name: "Delete", exact: true }).click()
        await sender.page.getByRole("button", { name: "Delete for good?" }).click()
        await sender.page.locator("#links-list").getByText("deleted", { exact: true }).waitFor()
        between.back()
        await page.getByText("The file is gone: it was downloaded, has expired, or was deleted.").waitFor()
        assert.isTrue(await page.getByRole("button", { name: "Download" }).isDisabled())
        assert.isNotNull(await (await waiting).failure())
      })
    }))

  it.live("a text is shown by the next press: the page says what failed, and that it broke", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const link = yield* run(async () => {
        const form = new FormData()
        form.append("file", new Blob(["see you at eight"], { type: "text/plain" }), "a.txt")
        const { link } = await (await fetch(url, { method: "POST", body: form })).json() as { readonly link: string }
        return link
      })
      const { page } = yield* open(url)
      const problem = page.getByRole("alert")
      const show = page.getByRole("button", { name: "Show the text" })
      yield* run(async () => {
        await page.goto(link)
        await failing(page, failure(500), failure(429, { "retry-after": "7" }))
        await show.click()
        await problem.getByText("The download failed: 500").waitFor()
        await show.click()
        await problem.getByText("The download failed: 429").waitFor()
        await page.unrouteAll()
        await page.route(/\?download=1$/, (route) => route.abort("connectionreset"))
        await show.click()
        await problem.getByText("The download broke off. Press the button again").waitFor()
        await page.unrouteAll()
        await show.click()
        await page.locator("#shown").getByText("see you at eight").waitFor()
        assert.isTrue(await problem.isHidden())
      })
      assert.strictEqual((yield* call(link)).status, 404)
    }))
})
