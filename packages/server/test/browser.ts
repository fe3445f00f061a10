/** Pages in a real browser. */
import { assert } from "@effect/vitest"
import Axe from "axe-core"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"

const CHROMIUM = "/usr/bin/chromium"
export const hasChromium = Fs.existsSync(CHROMIUM)
if (!hasChromium) console.warn(`SKIPPED: the pages in a real browser; there is no ${CHROMIUM} (Debian: chromium)`)

const SCREENSHOTS = fileURLToPath(new URL("../.screenshots", import.meta.url))
const PHONE = { width: 360, height: 740 }
export const DESKTOP = { width: 1280, height: 860 }

let browser: Browser

export const launch = async () => {
  Fs.mkdirSync(SCREENSHOTS, { recursive: true })
  browser = await chromium.launch({
    // Without a UTF-8 locale, it cannot open files whose names are not ASCII.
    env: { ...process.env, LC_ALL: "C.UTF-8" },
    executablePath: CHROMIUM,
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-quic",
      // A host that is not this machine: without https it is no safe origin.
      "--host-resolver-rules=MAP files.test 127.0.0.1",
      "--no-first-run",
      "--disable-component-update",
      "--disable-sync"
    ]
  })
}

/** A fresh window: no cache, storage or history. A request to another host fails the test. */
export const open = (url: string, options: BrowserContextOptions = {}) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const context = await browser.newContext({ viewport: DESKTOP, ...options })
      // A busy machine is slow, not wrong.
      context.setDefaultTimeout(120_000)
      const page = await context.newPage()
      const seen: Array<string> = []
      page.on("request", (request) => {
        const asked = `${request.url()} ${JSON.stringify(request.headers())}`
        if (!request.url().replace(/^blob:/, "").startsWith(url)) seen.push(`asked ${request.url()}`)
        // The fragment of a link stays in the browser.
        if (/AGE-SECRET-KEY|#|%23/i.test(asked)) seen.push(`sent the secret: ${asked}`)
      })
      page.on("console", (message) => {
        // The pages of missing files are 404s, which the console reports.
        if (message.type() === "error" && !message.text().includes("404")) seen.push(message.text())
      })
      page.on("pageerror", (error) => seen.push(String(error)))
      return { context, page, seen }
    }),
    ({ context }) => Effect.promise(() => context.close())
  )

export const run = <A>(act: () => Promise<A>): Effect.Effect<A> => Effect.promise(act)

/** Not `waitForFunction`: it evaluates in the page, whose policy forbids that. */
export const until = async (page: Page, expression: string) => {
  while (await page.evaluate(expression) !== true) await page.waitForTimeout(20)
}

export const shoot = (page: Page, name: string) =>
  run(async () => {
    for (const [size, viewport] of [["desktop", DESKTOP], ["phone", PHONE]] as const) {
      await page.setViewportSize(viewport)
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" })
        await page.screenshot({ path: Path.join(SCREENSHOTS, `${name}-${size}-${colorScheme}.png`), fullPage: true })
        assert.isTrue(
          await page.evaluate("document.documentElement.scrollWidth <= innerWidth"),
          `${name} scrolls sideways on ${size}`
        )
      }
    }
    await page.setViewportSize(DESKTOP)
    await page.emulateMedia({ colorScheme: "light" })
  })

/** Findings of axe-core, the checker of the WCAG rules, in both colour schemes, including contrast. */
export const assertAccessible = (page: Page, name: string) =>
  run(async () => {
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" })
      await page.evaluate(Axe.source)
      const { violations } = await page.evaluate("axe.run()") as Axe.AxeResults
      assert.deepStrictEqual(
        violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`),
        [],
        `${name}, ${colorScheme}`
      )
    }
    await page.emulateMedia({ colorScheme: "light" })
  })

export const saved = (page: Page) =>
  run(async () => {
    const waiting = page.waitForEvent("download")
    await page.getByRole("button", { name: "Download" }).click()
    const download = await waiting
    return { name: download.suggestedFilename(), bytes: Fs.readFileSync(await download.path()) }
  })

export const close = () => browser.close()
