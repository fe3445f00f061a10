import { FileIoServer } from "@effect-fileio/server"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { existsSync } from "node:fs"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { chromium } from "playwright-core"
import type { connect } from "../browser/app.ts"
import { bundle, sizes } from "../browser/bundle.ts"
import { servePage } from "../browser/serve.ts"
import { collect } from "../docs/blocks.ts"

const apiKey = "BROWSER.0000001-0000002-0000003-0000004"

describe("core and client in a browser", () => {
  // With resumable uploads, deletion tokens, and what finds out whether a file is encrypted; encryption, and uploads in pieces,
  // are loaded when they are used.
  it(
    "add at most 35 kB to effect, and less to a page that does not need all calls",
    { timeout: 300_000 },
    async () => {
      const measured = await sizes()
      const { beyondEffect, downloads, uploads, whole, withoutEffect } = measured
      console.log(`core and client in a page, gzipped: ${JSON.stringify(measured)}`)
      assert.isAtMost(beyondEffect, 35_400, "gzipped, beyond what they use of effect")
      // The limits for a page's size: they fail when much was added at once.
      assert.isAtMost(withoutEffect, 43_000, "gzipped, their own files")
      assert.isAtMost(whole, 93_700, "gzipped, with effect")
      assert.isAtMost(uploads, 82_100, "gzipped, with effect, uploads alone")
      assert.isAtMost(downloads, 67_500, "gzipped, with effect, downloads alone")
      assert.isAbove(beyondEffect, 5_000, "something is missing")
      assert.isAbove(whole, withoutEffect)
    }
  )

  const executablePath = [
    process.env["CHROMIUM_PATH"],
    ...(process.env["PATH"] ?? "").split(":").map((folder) => join(folder, "chromium"))
  ]
    .find((path) => path !== undefined && path !== "" && existsSync(path))
  if (executablePath === undefined) {
    process.stderr.write(
      "SKIPPED: no chromium on this machine (install it, or set CHROMIUM_PATH), so the bundle was not run\n"
    )
  }

  const launch = () =>
    chromium.launch({
      // Without a UTF-8 locale, it cannot open files whose names are not ASCII.
      env: { ...process.env, LC_ALL: "C.UTF-8" },
      executablePath: executablePath!,
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-dev-shm-usage"
      ]
    })

  it.skipIf(executablePath === undefined)("upload and download over fetch, from a page of another origin", {
    timeout: 300_000
  }, async () => {
    const page = await servePage(await bundle({ external: false }))
    const browser = await launch()
    const inPage = async (baseUrl: string) => {
      const tab = await browser.newPage()
      const problems: Array<string> = []
      tab.on("pageerror", (error) => problems.push(String(error)))
      await tab.goto(page.url)
      const seen = await tab.evaluate(async ({ apiKey, baseUrl }) => {
        const fileIo = (globalThis as unknown as { readonly connect: typeof connect }).connect(baseUrl, apiKey)
        const small = await fileIo.upload(new File(["see you at eight"], "nöte.txt"), 1)
        const note = await fileIo.download(small.link)
        const gone = await fileIo.failure(small.link)
        const large = await fileIo.upload(new File([new Uint8Array(3_000_000).fill(65)], "large.txt"), 1)
        const { text } = await fileIo.download(large.link)
        const secret = await fileIo.encrypted(new File([new Uint8Array(300_000).fill(66)], "geheim.txt"))
        const encrypted = [
          /^[0-9a-f]{16}\.age$/.test(secret.hosted ?? ""),
          secret.name,
          secret.text === "B".repeat(300_000)
        ]
        return {
          encrypted,
          small: small.size,
          note,
          gone,
          large: large.size,
          length: text.length,
          rate: await fileIo.account()
        }
      }, { apiKey, baseUrl })
      assert.deepStrictEqual(seen, {
        encrypted: [true, "geheim.txt", true],
        small: 16,
        note: { name: "nöte.txt", text: "see you at eight" },
        gone: { reason: "FileNotFound", copy: "absent" },
        large: 3_000_000,
        length: 3_000_000,
        rate: 100
      })
      assert.deepStrictEqual(problems, [])
    }
    const server = FileIoServer.layerTemporary({
      allowedOrigins: [new URL(page.url).origin],
      accounts: [{ name: "browser", apiKey: Redacted.make(apiKey), plan: "premium" }]
    })
    try {
      await FileIoServer.FileIoServer.use(({ url }) => Effect.promise(() => inPage(url))).pipe(
        Effect.provide(server),
        Effect.runPromise
      )
    } finally {
      await browser.close()
      await page.close()
    }
  })

  it.skipIf(executablePath === undefined)(
    "run the page in the README of the promises",
    { timeout: 300_000 },
    async () => {
      const block = (await collect()).find(({ code, document }) =>
        document === "packages/promise/README.md" && code.includes("document.querySelector")
      )
      const inPage = async (baseUrl: string) => {
        const folder = await mkdtemp(join(import.meta.dirname, ".page-"))
        const input = join(folder, "page.ts")
        await writeFile(input, block!.code.replace("https://share.example", baseUrl))
        const bundled = await bundle({ external: false, input }).finally(() => rm(folder, { recursive: true }))
        for (const code of bundled.files.values()) assert.notMatch(code, /["']node:|vite-browser-external/)

        const page = await servePage(bundled, "<input type=file><output></output>")
        const browser = await launch()
        try {
          const tab = await browser.newPage()
          const problems: Array<string> = []
          tab.on("pageerror", (error) => problems.push(String(error)))
          await tab.goto(page.url)
          const file = { name: "nöte.txt", mimeType: "text/plain", buffer: Buffer.from("see you at eight") }
          await tab.setInputFiles("input", file)
          const link = await tab.locator("output", { hasText: /^http/ }).textContent({ timeout: 240_000 })
          assert.strictEqual(await (await fetch(link!)).text(), "see you at eight")
          assert.deepStrictEqual(problems, [])
        } finally {
          await browser.close()
          await page.close()
        }
      }
      await FileIoServer.FileIoServer.use(({ url }) => Effect.promise(() => inPage(url))).pipe(
        Effect.provide(FileIoServer.layerTemporary({ allowedOrigins: ["*"] })),
        Effect.runPromise
      )
    }
  )
})
