/** Pages in a real browser. */
import { assert } from "@effect/vitest"
import Axe from "axe-core"
import { Effect } from "effect"
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core"
import { pattern, temporaryFolder } from "./support.ts"

const CHROMIUM = "/usr/bin/chromium"
export const hasChromium = Fs.existsSync(CHROMIUM)
if (!hasChromium) console.warn(`SKIPPED: the pages in a real browser; there is no ${CHROMIUM} (Debian: chromium)`)

const SCREENSHOTS = fileURLToPath(new URL("../.screenshots", import.meta.url))
const PHONE = { width: 320, height: 640 }
const TABLET = { width: 768, height: 1024 }
const DESKTOP = { width: 1280, height: 860 }

const LAUNCH = {
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
}

let browser: Browser

export const launch = async () => {
  Fs.mkdirSync(SCREENSHOTS, { recursive: true })
  browser = await chromium.launch(LAUNCH)
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

/** A window of a browser whose user forbids sites to store anything, cookies too. */
export const openWithoutStorage = Effect.gen(function*() {
  const folder = yield* temporaryFolder
  Fs.mkdirSync(Path.join(folder, "Default"))
  const preferences = { profile: { default_content_setting_values: { cookies: 2 } } }
  Fs.writeFileSync(Path.join(folder, "Default/Preferences"), JSON.stringify(preferences))
  const context = yield* Effect.acquireRelease(
    Effect.promise(() => chromium.launchPersistentContext(folder, LAUNCH)),
    (context) => Effect.promise(() => context.close())
  )
  context.setDefaultTimeout(120_000)
  return yield* Effect.promise(() => context.newPage())
})

export const run = <A>(act: () => Promise<A>): Effect.Effect<A> => Effect.promise(act)

/** Not `waitForFunction`: it evaluates in the page, whose policy forbids that. */
export const until = async (page: Page, expression: string) => {
  while (await page.evaluate(expression) !== true) await page.waitForTimeout(20)
}

export const shoot = (page: Page, name: string) =>
  run(async () => {
    for (const [size, viewport] of [["desktop", DESKTOP], ["tablet", TABLET], ["phone", PHONE]] as const) {
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

/** Bytes that a process has for itself, without those of files that it shares. */
const privateBytes = (id: number): number => {
  try {
    return 1024 * Number(/^RssAnon:\s+(\d+)/m.exec(Fs.readFileSync(`/proc/${id}/status`, "utf8"))?.[1] ?? 0)
  } catch {
    // It has ended.
    return 0
  }
}

/** By how much the processes grow, at most, from now until the returned function is called. */
export const watchProcesses = async (ids: () => Promise<ReadonlyArray<number>> | ReadonlyArray<number>) => {
  const measure = async () => (await ids()).reduce((sum, id) => sum + privateBytes(id), 0)
  const first = await measure()
  let most = first
  let isOver = false
  const watching = (async () => {
    while (!isOver) {
      most = Math.max(most, await measure())
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  })()
  return async () => {
    isOver = true
    await watching
    return most - first
  }
}

export const watchMemory = async () => {
  const session = await browser.newBrowserCDPSession()
  return watchProcesses(async () => (await session.send("SystemInfo.getProcessInfo")).processInfo.map(({ id }) => id))
}

export const saved = (page: Page, button = "Download") =>
  run(async () => {
    const waiting = page.waitForEvent("download")
    await page.getByRole("button", { name: button }).click()
    const download = await waiting
    return { name: download.suggestedFilename(), bytes: Fs.readFileSync(await download.path()) }
  })

/** A browser on a slow machine may need longer than half a minute to resume a download. */
export const free = {
  anonymousPlan: "free",
  grace: "5 minutes",
  plans: { free: { rateLimit: null, maxDownloads: 5 } }
} as const

export const sha256 = (path: string): string => createHash("sha256").update(Fs.readFileSync(path)).digest("hex")

/** A file of the given size, whose blocks differ. */
export const largeFile = (folder: string, megabytes: number): string => {
  const path = Path.join(folder, `${megabytes} megabytes.bin`)
  const file = Fs.openSync(path, "w")
  const block = Buffer.from(pattern(1_000_000))
  for (let index = 0; index < megabytes; index++) {
    block.writeUInt32LE(index, 0)
    Fs.writeSync(file, block)
  }
  Fs.closeSync(file)
  return path
}

/** Sends what is chosen; returns its link. */
export const send = async (page: Page): Promise<string> => {
  await page.getByRole("button", { name: "Upload" }).click()
  await page.getByRole("heading", { name: "Your link is ready" }).waitFor()
  return page.locator("#link-0").inputValue()
}

/** The page takes the file for a large one, which it saves while it comes. */
export const pretendLarge = (page: Page) =>
  page.route("**/download/*", async (route) => {
    const response = await route.fetch()
    const body = (await response.text()).replace(/data-size="\d+"/, "data-size=\"70000000\"")
    await route.fulfill({ response, body })
  })

/** The address that the link of a file leads to. */
export const pageOf = (link: string): string => link.replace(/\/(\w+)#/, "/download/$1#")

/** Until the bar has come so far. */
export const progressed = (page: Page, part: number) =>
  until(page, `(({ value, max }) => value / max > ${part})(document.querySelector("progress"))`)

/** Limits the rate; returns what lifts the limit. */
export const slowly = async (page: Page, bytesPerSecond: number): Promise<() => Promise<unknown>> => {
  const session = await page.context().newCDPSession(page)
  const limit = (rate: number) =>
    session.send("Network.emulateNetworkConditions", {
      offline: false,
      latency: 0,
      downloadThroughput: rate,
      uploadThroughput: rate
    })
  await limit(bytesPerSecond)
  return () => limit(-1)
}

export const close = () => browser.close()
