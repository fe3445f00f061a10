import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { assertAccessible, close, hasChromium, launch, open, run, saved, shoot, until } from "./browser.ts"
import { blobs, call, eventually, LARGE, openDownload, pattern, start, temporaryFolder, uploaded } from "./support.ts"

describe.skipIf(!hasChromium)("in a real browser", () => {
  beforeAll(launch)
  afterAll(close)

  it.live("a file goes up, its link is copied, and somebody else gets the bytes, once", () =>
    Effect.gen(function*() {
      const server = yield* start({ anonymousPlan: "free" })
      const { url } = server
      const folder = yield* temporaryFolder
      const content = pattern(3_000_000)
      const source = Path.join(folder, "Übersicht <2026> & more.bin")
      Fs.writeFileSync(source, content)

      const sender = yield* open(url, { permissions: ["clipboard-read", "clipboard-write"] })
      yield* run(() => sender.page.goto(url))
      yield* shoot(sender.page, "home")
      yield* run(async () => {
        const { page } = sender
        await page.locator("#file").setInputFiles(source)
        // On a busy machine the page learns of the file a little later than the test.
        await until(page, `document.querySelector("#curl").textContent.includes("'file=@Übersicht <2026> & more.bin'")`)
        await page.getByLabel("Delete after").selectOption("1h")
        await until(page, `document.querySelector("#curl").textContent.includes("-F expires=1h")`)
        await page.getByRole("button", { name: "Upload" }).click()
        await page.getByRole("heading", { name: "Your link is ready" }).waitFor()
        assert.strictEqual(await page.evaluate("document.activeElement.tagName"), "H1")
        await page.locator("#results").getByRole("button", { name: "Copy the link" }).click()
        await page.locator("#results").getByRole("button", { name: "Copied" }).waitFor()
        await page.locator("#results").getByRole("button", { name: "Copy the link" }).first().waitFor()
      })
      yield* shoot(sender.page, "uploaded")
      const link = yield* run(() => sender.page.evaluate("navigator.clipboard.readText()") as Promise<string>)
      assert.match(link, new RegExp(`^${url}/[A-Za-z0-9]{12}#age=AGE-SECRET-KEY-1[0-9A-Z]+&name=%C3%9Cbersicht%20`))
      // The server has neither the content nor the name.
      const [blob, ...others] = blobs(server)
      assert.deepStrictEqual(others, [])
      const stored = Fs.readFileSync(Path.join(server.folder, "blobs", blob!))
      assert.isTrue(stored.subarray(0, 21).equals(Buffer.from("age-encryption.org/v1")))
      assert.isFalse(stored.includes(content.subarray(1000, 1064)))

      // A preview of the link, as messengers make it, and a HEAD: neither takes the file.
      const preview = yield* call(link, {
        headers: { accept: "text/html,*/*;q=0.1", "user-agent": "Mozilla/5.0 (compatible; Slackbot-LinkExpanding 1.0)" }
      })
      assert.strictEqual(preview.status, 302)
      assert.strictEqual(
        (yield* call(preview.headers.get("location")!, { headers: { accept: "text/html" } })).status,
        200
      )
      assert.strictEqual((yield* call(link, { method: "HEAD" })).status, 200)

      const receiver = yield* open(url)
      yield* run(() => receiver.page.goto(link))
      yield* run(() => receiver.page.getByRole("heading", { name: "Übersicht _2026_ & more.bin" }).waitFor())
      yield* shoot(receiver.page, "download")
      const file = yield* saved(receiver.page)
      assert.isTrue(file.bytes.equals(content))
      assert.strictEqual(file.name, "Übersicht _2026_ & more.bin")
      yield* run(() => receiver.page.getByText("Done: the file is complete").waitFor())
      assert.isTrue(yield* run(() => receiver.page.getByRole("button", { name: "Download" }).isDisabled()))
      // Where the disk was full, the page still has it.
      const again = yield* saved(receiver.page, "Save again")
      assert.isTrue(again.bytes.equals(content))

      const late = yield* open(url)
      const answer = yield* run(() => late.page.goto(link))
      assert.strictEqual(answer!.status(), 404)
      yield* run(() => late.page.getByRole("heading", { name: "This file is gone" }).waitFor())
      yield* shoot(late.page, "gone")
      assert.deepStrictEqual([...sender.seen, ...receiver.seen, ...late.seen], [])
    }))

  it.live("everything works without scripts", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ anonymousPlan: "free" })
      const { page, seen } = yield* open(url, { javaScriptEnabled: false })
      const send = (fill: () => Promise<void>) =>
        run(async () => {
          await page.goto(url)
          await fill()
          await page.getByRole("button", { name: "Upload" }).click()
          await page.getByRole("heading", { name: "Your link is ready" }).waitFor()
          return await page.getByLabel("Link", { exact: true }).inputValue()
        })
      const link = yield* send(() =>
        page.locator("#file").setInputFiles({
          name: "note.txt",
          mimeType: "text/plain",
          buffer: Buffer.from("plain")
        })
      )
      assert.isFalse(yield* run(() => page.getByRole("button", { name: "Copy the link" }).isVisible()))
      yield* run(() => page.goto(link))
      const file = yield* saved(page)
      assert.deepStrictEqual([file.name, String(file.bytes)], ["note.txt", "plain"])
      yield* run(() => page.goto(link))
      yield* run(() => page.getByRole("heading", { name: "This file is gone" }).waitFor())

      const text = yield* send(async () => {
        await page.getByText("Write a text instead").click()
        await page.getByLabel("Text", { exact: true }).fill("only words")
      })
      assert.strictEqual((yield* call(text)).text, "only words")

      // The sender takes a file back, also after a reload; nobody else can.
      const regretted = yield* send(() =>
        page.locator("#file").setInputFiles({ name: "regretted.txt", mimeType: "", buffer: Buffer.from("x") })
      )
      const stranger = yield* open(url, { javaScriptEnabled: false })
      yield* run(async () => {
        await stranger.page.goto(page.url())
        assert.strictEqual(await stranger.page.getByText("Take it back").count(), 0)
        await page.reload()
        await page.getByText("Take it back").click()
        await page.getByRole("button", { name: "Delete the file" }).click()
        await page.getByRole("heading", { name: "The file is deleted" }).waitFor()
      })
      assert.strictEqual((yield* call(regretted)).status, 404)

      // A refusal is a page as well.
      yield* run(async () => {
        await page.goto(url)
        await page.getByRole("button", { name: "Upload" }).click()
        await page.getByRole("heading", { name: "The file was not uploaded" }).waitFor()
      })
      assert.deepStrictEqual(seen.filter((line) => !line.includes("400")), [])
    }))

  it.live(
    "a file can be dropped or pasted, a wrong one is refused before it is sent, and an upload can be cancelled",
    () =>
      Effect.gen(function*() {
        const server = yield* start({
          anonymousPlan: "free",
          plans: { free: { maxUploadBytes: 200_000_000, maxDownloads: 5 } }
        })
        const { page } = yield* open(server.url)
        const give = (event: "drop" | "paste", size: number, name: string) =>
          page.evaluate(`{
          const transfer = new DataTransfer()
          transfer.items.add(new File([new Uint8Array(${size})], "${name}"))
          dispatchEvent(new ${event === "drop" ? "DragEvent" : "ClipboardEvent"}("${event}", {
            bubbles: true, cancelable: true, ${event === "drop" ? "dataTransfer" : "clipboardData"}: transfer
          }))
        }`)
        const chosen = () => page.locator("#chosen-list li").allTextContents()
        yield* run(async () => {
          await page.goto(server.url)
          await page.locator("#file[multiple]").waitFor()
          await page.evaluate(
            "document.body.dispatchEvent(new DragEvent('dragenter', { bubbles: true, dataTransfer: new DataTransfer() }))"
          )
          await give("drop", 10, "dropped.txt")
          await page.locator("#chosen-list").getByText("dropped.txt").waitFor()
          assert.strictEqual(await page.locator("#chosen").textContent(), "1 chosen, 10 bytes")
          // A listener on the window handles a paste anywhere except in the text field.
          await page.evaluate("Object.defineProperty(window, 'matches', { value: () => false })")
          await give("paste", 20, "pasted.png")
          await page.locator("#chosen-list").getByText("pasted.png").waitFor()
          assert.deepStrictEqual(await chosen(), ["dropped.txt10 bytes×", "pasted.png20 bytes×"])
          await give("drop", 200_000_001, "huge.bin")
          await page.getByRole("alert").getByText("at most 200 MB").waitFor()
          await page.getByRole("button", { name: "Upload" }).click()
          await page.getByRole("heading", { name: "Send a file once" }).waitFor()
          for (const name of ["dropped.txt", "pasted.png", "huge.bin"]) {
            await page.getByRole("button", { name: `Remove ${name}` }).click()
          }
          assert.deepStrictEqual(await chosen(), [])
          assert.isTrue(await page.getByRole("alert").isHidden())
        })
        // Slow enough to inspect, and to cancel.
        const network = yield* run(() => page.context().newCDPSession(page))
        yield* run(async () => {
          await network.send("Network.emulateNetworkConditions", {
            offline: false,
            latency: 0,
            downloadThroughput: -1,
            uploadThroughput: 2_000_000
          })
          await give("drop", 20_000_000, "holiday.mov")
          await page.locator("#chosen-list").getByText("holiday.mov").waitFor()
          await page.getByRole("button", { name: "Upload" }).click()
          await until(page, "document.querySelector('progress').value / document.querySelector('progress').max > 0.05")
          assert.match((await page.locator("#numbers").textContent())!, /^[\d.]+ (?:kB|MB) of 20 MB$/)
        })
        yield* shoot(page, "uploading")
        yield* run(async () => {
          await page.getByRole("button", { name: "Cancel" }).click()
          await page.getByRole("alert").getByText("cancelled").waitFor()
          await network.send("Network.emulateNetworkConditions", {
            offline: false,
            latency: 0,
            downloadThroughput: -1,
            uploadThroughput: -1
          })
          await page.getByLabel("Downloads").selectOption("2")
          await page.getByRole("button", { name: "Upload" }).click()
          await page.getByRole("heading", { name: "Your link is ready" }).waitFor()
          assert.include(await page.locator("main").innerText(), "holiday.mov")
        })
      })
  )

  it.live("every page passes the WCAG rules, and works by keyboard alone", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ anonymousPlan: "premium", plans: { premium: { directDownload: false } } })
      const content = pattern(LARGE)
      const { key } = yield* uploaded(url, content, {
        fields: { title: "The <b>quarter</b> in figures", maxDownloads: "" }
      })
      const taken = yield* uploaded(url, content)
      const long = yield* uploaded(url, content, {
        name: `${"außerordentlich ".repeat(4)}${"x".repeat(70)} Fassung.docx`
      })
      const wordy = yield* uploaded(url, content, {
        name: "außerordentlich wichtige Unterlagen zur Jahreshauptversammlung des Vereins letzte Fassung.docx"
      })
      const { page, seen } = yield* open(url, { bypassCSP: true })
      const broken = yield* openDownload(`${url}/${taken.key}`)
      for (
        const [name, path] of [
          ["home with every choice", "/"],
          ["uploaded without limits", `/uploaded/${key}`],
          ["download with a title", `/download/${key}`],
          ["download with a long name", `/download/${long.key}`],
          ["download in progress", `/download/${taken.key}`],
          ["gone", "/download/abcdefghijkl"],
          ["developers", "/developers"],
          ["problem", "/no/such/page"],
          ["busy", `/${taken.key}?download=1`]
        ] as const
      ) {
        yield* run(() => page.goto(`${url}${path}`))
        yield* assertAccessible(page, name)
        yield* shoot(page, name.replaceAll(" ", "-"))
      }
      broken.response.destroy()

      // A long name takes at most three lines, and its end is in one of them.
      yield* run(async () => {
        for (const [{ key }, end] of [[long, "xxx Fassung.docx"], [wordy, "zte Fassung.docx"]] as const) {
          await page.goto(`${url}/download/${key}`)
          for (const width of [320, 768, 1440]) {
            await page.setViewportSize({ width, height: 640 })
            assert.strictEqual(await page.locator("h1 .end").innerText(), end)
            const lines = await page.evaluate(`(() => {
              const heading = document.querySelector("h1")
              return heading.getBoundingClientRect().height / parseFloat(getComputedStyle(heading).lineHeight)
            })()`)
            assert.isAtMost(Math.round(Number(lines)), 3, `${end} at ${width}`)
          }
        }
        await page.setViewportSize({ width: 1280, height: 860 })
      })

      yield* run(async () => {
        await page.goto(url)
        await page.keyboard.press("Tab")
        assert.strictEqual(await page.evaluate("document.activeElement.textContent"), "Skip to the content")
        const reached: Array<string> = []
        for (let i = 0; i < 12; i++) {
          await page.keyboard.press("Tab")
          reached.push(
            String(await page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
          )
        }
        assert.includeMembers(reached, ["file", "Write a text instead", "expires", "maxDownloads", "Upload", "Copy"])
        await page.getByText("Write a text instead").focus()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        await page.keyboard.type("by keyboard")
        for (let i = 0; i < 3; i++) await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await page.getByRole("heading", { name: "Your link is ready" }).waitFor()
        assert.include(await page.locator("main").innerText(), "text.txt")
      })
      assert.deepStrictEqual(seen.filter((line) => !/\b(404|423)\b/.test(line)), [])
      yield* eventually("the download is seen to have broken", () => broken.response.destroyed)
    }))
})
