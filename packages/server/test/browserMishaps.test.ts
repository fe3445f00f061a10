/** What goes wrong with the pages at either end: wrong secrets, full disks, a save that is cancelled, and the button "back". */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import {
  close,
  free,
  hasChromium,
  largeFile,
  launch,
  open,
  pageOf,
  pretendLarge,
  progressed,
  run,
  saved,
  send,
  sha256,
  slowly,
  until
} from "./browser.ts"
import { blobs, call, start, temporaryFolder, uploaded } from "./support.ts"

const isThere = (link: string) => Effect.map(call(link, { method: "HEAD" }), ({ status }) => status === 200)

describe.skipIf(!hasChromium)("mishaps in a real browser", () => {
  beforeAll(launch, 60_000)
  afterAll(close)

  it.live(
    "a large file survives a browser without room, a wrong passphrase, a save that its browser gave up, and a worker that is stopped",
    () =>
      Effect.gen(function*() {
        const { url } = yield* start(free)
        const source = largeFile(yield* temporaryFolder, 66)
        const sender = yield* open(url)
        const link = yield* run(async () => {
          const { page } = sender
          await page.goto(url)
          await page.locator("#file").setInputFiles(source)
          await page.getByText("Passphrase (optional)").first().click()
          await page.getByLabel("Passphrase").fill("correct horse ")
          return send(page)
        })

        // Without a worker all of it must be in memory, and this browser says that it has no room.
        const small = yield* open(url)
        yield* run(async () => {
          const { page } = small
          await page.addInitScript(`{
            delete Navigator.prototype.serviceWorker
            StorageManager.prototype.estimate = async () => ({ quota: 100_000_000, usage: 0 })
          }`)
          await page.goto(link)
          await page.getByLabel("Passphrase").fill("correct horse ")
          await page.getByRole("button", { name: "Download" }).click()
          await page.getByRole("alert").getByText("cannot save so large an encrypted file").waitFor()
        })
        assert.isTrue(yield* isThere(link))

        const { page, seen } = yield* open(url)
        const path = yield* run(async () => {
          await page.goto(link)
          // Without a header, only the first bytes show it.
          await page.route("**/header/*", (route) => route.fulfill({ body: "" }))
          await page.getByLabel("Passphrase").fill("wrong")
          await page.getByRole("button", { name: "Download" }).click()
          await page.getByRole("alert").getByText("The download was stopped").waitFor()
          await page.unroute("**/header/*")
          // The same browser begins again at once. Its user, or a full disk, ends the save.
          const lift = await slowly(page, 4_000_000)
          const given = page.waitForEvent("download")
          await page.getByLabel("Passphrase").fill("correct horse ")
          await page.getByRole("button", { name: "Download" }).click()
          const first = await given
          await progressed(page, 0.02)
          await first.cancel()
          await page.getByRole("alert").getByText("this browser can download it again").waitFor()
          // Where the host has sent all of it by then, the page does not promise the file.
          await page.route("**/status/*", (route) => route.fulfill({ status: 404, json: { success: false } }))
          const second = page.waitForEvent("download")
          await page.getByRole("button", { name: "Download" }).click()
          await second
          await progressed(page, 0.02)
          // The browser stops the worker that saves, which then can say nothing.
          const browser = await page.context().newCDPSession(page)
          await browser.send("ServiceWorker.enable")
          await browser.send("ServiceWorker.stopAllWorkers")
          await page.getByRole("alert").getByText("so the file is gone").waitFor()
          assert.isTrue(await page.getByRole("button", { name: "Download" }).isDisabled())
          await page.unroute("**/status/*")
          await page.reload()
          await lift()
          await page.getByLabel("Passphrase").fill("correct horse ")
          const again = page.waitForEvent("download")
          await page.getByRole("button", { name: "Download" }).click()
          const path = await (await again).path()
          await page.getByText("Done: the file is complete").waitFor()
          return path
        })
        assert.strictEqual(sha256(path), sha256(source))
        assert.strictEqual((yield* call(link)).status, 404)
        assert.deepStrictEqual([...sender.seen, ...small.seen, ...seen], [])
      })
  )

  it.live("an encrypted file cannot be taken before the page can decrypt it", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const { key } = yield* uploaded(url, "as it is", { name: "report.age" })
      const { page } = yield* open(url)
      const buttons = () => page.locator("#download").getByRole("button").filter({ visible: true }).allInnerTexts()
      // Its script never comes.
      yield* run(async () => {
        await page.route("**/assets/receive-*.js", () => {})
        await page.goto(`${url}/${key}#age=passphrase`, { waitUntil: "commit" })
        await page.getByText("The file is encrypted.").waitFor()
        assert.deepStrictEqual(await buttons(), [])
      })
      yield* run(async () => {
        await page.unroute("**/assets/receive-*.js")
        await page.reload()
        await page.getByLabel("Passphrase").waitFor()
        assert.deepStrictEqual(await buttons(), ["Download"])
      })
      // Without scripts, there is the line for a terminal, and the bytes as they are.
      const plain = yield* open(url, { javaScriptEnabled: false })
      yield* run(() => plain.page.goto(`${url}/${key}`))
      yield* run(() => plain.page.getByText("| age -d -i key.txt").waitFor())
      const file = yield* saved(plain.page)
      assert.deepStrictEqual([file.name, String(file.bytes)], ["report.age", "as it is"])
    }), 240_000)

  it.live("a host without room says so before a byte of the file is sent", () =>
    Effect.gen(function*() {
      const server = yield* start({ ...free, minFreeBytes: Number.MAX_SAFE_INTEGER })
      const { page } = yield* open(server.url)
      const sent: Array<string> = []
      page.on("request", (request) => void sent.push(request.method()))
      yield* run(async () => {
        await page.goto(server.url)
        await page.locator("#file").setInputFiles({ name: "a.bin", mimeType: "", buffer: Buffer.alloc(2_000_000, 1) })
        await page.getByRole("button", { name: "Upload" }).click()
        await page.getByRole("alert").getByText("The host has no room for this. Nothing was stored.").waitFor()
      })
      assert.notInclude(sent, "PATCH")
      assert.deepStrictEqual(blobs(server), [])
    }))

  it.live(
    "an open page whose host was updated, or whose network is away, asks to be loaded again",
    () =>
      Effect.gen(function*() {
        const server = yield* start(free)
        const { page } = yield* open(server.url)
        yield* run(async () => {
          await page.goto(server.url)
          await page.locator("#file").setInputFiles({ name: "a.bin", mimeType: "", buffer: Buffer.alloc(2_000, 1) })
          await page.context().setOffline(true)
          await page.getByRole("button", { name: "Upload" }).click()
          await page.getByRole("alert").getByText("Nothing was transferred. Reload the page.").waitFor()
          assert.isTrue(await page.getByRole("button", { name: "Upload" }).isVisible())
          await page.context().setOffline(false)
          await page.reload()
          await page.locator("#file").setInputFiles({ name: "a.bin", mimeType: "", buffer: Buffer.alloc(2_000, 1) })
          await send(page)
        })
        assert.strictEqual(blobs(server).length, 1)
      })
  )

  it.live("the lines for a terminal name any file, and fail where the file is gone", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const { page, seen } = yield* open(url)
      const chosen = (name: string, shown = name) =>
        run(async () => {
          await page.locator("#file").setInputFiles({ name, mimeType: "", buffer: Buffer.from("content") })
          await page.locator("#chosen-list").getByText(shown).waitFor()
          return page.locator("#curl").textContent()
        })
      yield* run(() => page.goto(url))
      assert.include(yield* chosen("a,b;type=text.txt"), `-F 'file=@"a,b;type=text.txt"' `)
      yield* run(() => page.locator("#chosen-list button").click())
      // A name that would be shown backwards from there.
      assert.include(yield* chosen("a\u202Etxet.exe", "atxet.exe"), "-F file=@FILE ")
      yield* run(async () => {
        await send(page)
        const line = (await page.locator("#results code").textContent())!
        assert.match(line, /^curl -f /)
        assert.notInclude(line, "\u202E")
      })
      assert.deepStrictEqual(seen, [])
    }))

  it.live("a folder, dropped or chosen, is one archive with the paths of its files", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const folder = Path.join(yield* temporaryFolder, "holiday")
      Fs.mkdirSync(Path.join(folder, "day 1", "evening"), { recursive: true })
      // More than a folder gives at a time.
      for (let index = 0; index < 120; index++) Fs.writeFileSync(Path.join(folder, "day 1", `${index}.txt`), `${index}`)
      Fs.writeFileSync(Path.join(folder, "day 1", "evening", "sunset.txt"), "red and gold")
      const { page, seen } = yield* open(url)
      yield* run(async () => {
        await page.goto(url)
        await page.locator("#file[multiple]").waitFor()
        const session = await page.context().newCDPSession(page)
        for (const type of ["dragEnter", "dragOver", "drop"] as const) {
          await session.send("Input.dispatchDragEvent", {
            type,
            x: 640,
            y: 300,
            data: { items: [], files: [folder], dragOperationsMask: 1 }
          })
        }
        await page.locator("#chosen-list").getByText("holiday/day 1/evening/sunset.txt").waitFor()
        assert.strictEqual(await page.locator("#chosen-list li").count(), 121)
        // The button does the same for a keyboard, or a telephone.
        await page.reload()
        const asked = page.waitForEvent("filechooser")
        await page.getByRole("button", { name: "Choose a folder" }).press("Enter")
        await (await asked).setFiles(folder)
        await page.locator("#chosen-list").getByText("holiday/day 1/evening/sunset.txt").waitFor()
        assert.strictEqual(await page.locator("#chosen-list li").count(), 121)
        assert.isTrue(await page.getByLabel("Send the files as one ZIP archive").isChecked())
        await page.goto(await send(page))
      })
      const zip = yield* saved(page)
      for (const part of ["holiday/day 1/evening/sunset.txt", "red and gold", "holiday/day 1/119.txt"]) {
        assert.isTrue(zip.bytes.includes(part), part)
      }
      assert.deepStrictEqual(seen, [])
    }))

  it.live(
    "after the button back, a sender still has the link, and a receiver no live button of a file that is gone",
    () =>
      Effect.gen(function*() {
        const { url } = yield* start(free)
        const { page, seen } = yield* open(url)
        yield* run(async () => {
          await page.goto(url)
          await page.locator("#file").setInputFiles({ name: "a.bin", mimeType: "", buffer: Buffer.from("content") })
          await page.goto(await send(page))
          await page.goBack()
          await page.locator("#links-list li").filter({ hasText: "a.bin" }).getByText("not downloaded yet").waitFor()
          await page.goForward()
          await page.getByRole("heading", { name: "a.bin" }).waitFor()
        })
        assert.strictEqual(String((yield* saved(page)).bytes), "content")
        yield* run(async () => {
          await page.getByText("Done: the file is complete").waitFor()
          await page.goto(url)
          await page.goBack()
          await page.getByRole("heading", { name: "This file is gone" }).waitFor()
          assert.strictEqual(await page.getByRole("button", { name: "Download" }).count(), 0)
        })
        assert.deepStrictEqual(seen, [])
      })
  )

  it.live(
    "a text in any encoding is shown whole, and its bytes can be saved, since showing takes it",
    () =>
      Effect.gen(function*() {
        const { url } = yield* start(free)
        const { page, seen } = yield* open(url)
        for (
          const [name, text, bytes] of [
            ["mark.txt", "Grüße", Buffer.from("\uFEFFGrüße")],
            ["old.txt", "Grüße", Buffer.from("Grüße", "latin1")],
            ["wide.txt", "Grüße", Buffer.from("\uFEFFGrüße", "utf16le")]
          ] as const
        ) {
          const form = new FormData()
          form.append("file", new Blob([new Uint8Array(bytes)], { type: "text/plain" }), name)
          const { link } = yield* run(async () =>
            await (await fetch(url, { method: "POST", body: form })).json() as { readonly link: string }
          )
          yield* run(async () => {
            await page.goto(link)
            await page.getByRole("button", { name: "Show the text" }).click()
            await page.locator("#shown").waitFor()
          })
          assert.strictEqual(yield* run(() => page.locator("#shown").textContent()), text)
          const file = yield* saved(page, "Save it as a file")
          assert.deepStrictEqual([file.name, file.bytes.equals(bytes)], [name, true])
        }
        assert.deepStrictEqual(seen, [])
      })
  )

  it.live("the link to skip keeps the key of the file in the address", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const { page, seen } = yield* open(url)
      yield* run(async () => {
        await page.goto(url)
        await page.locator("#file").setInputFiles({ name: "a.bin", mimeType: "", buffer: Buffer.from("content") })
        await page.goto(await send(page))
        await page.getByRole("heading", { name: "a.bin" }).waitFor()
        const address = page.url()
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await until(page, "document.activeElement.tagName === 'H1'")
        assert.strictEqual(page.url(), address)
      })
      assert.strictEqual(String((yield* saved(page)).bytes), "content")
      assert.deepStrictEqual(seen, [])
    }))

  it.live(
    "who stops while the file is decrypted still has it, and is warned before the page closes",
    () =>
      Effect.gen(function*() {
        const { url } = yield* start(free)
        const { page, seen } = yield* open(url)
        yield* run(async () => {
          await page.goto(url)
          await page.locator("#file").setInputFiles({ name: "a.bin", mimeType: "", buffer: Buffer.from("content") })
          await page.getByText("Passphrase (optional)").first().click()
          await page.getByLabel("Passphrase").fill("correct horse")
          await page.goto(await send(page))
          await page.getByLabel("Passphrase").fill("correct horse")
          await page.evaluate(`new MutationObserver(() => {
          if (document.querySelector("#status").textContent === "Decrypting") document.querySelector("#cancel").click()
        }).observe(document.querySelector("#status"), { childList: true })`)
          await page.getByRole("button", { name: "Download" }).click()
          await page.getByRole("alert").getByText("all of the encrypted file is here").waitFor()
          const asked = page.waitForEvent("dialog")
          await page.close({ runBeforeUnload: true })
          await (await asked).dismiss()
        })
        const encrypted = yield* saved(page, "Save the encrypted file")
        assert.strictEqual(encrypted.name, "a.bin.age")
        assert.isTrue(encrypted.bytes.includes("age-encryption.org/v1"))
        assert.deepStrictEqual(seen, [])
      })
  )

  it.live("a file that vanished, and an error of the host in the middle of an upload, are said as what they are", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const path = Path.join(yield* temporaryFolder, "a.bin")
      Fs.writeFileSync(path, Buffer.alloc(1000, 1))
      const { page } = yield* open(url)
      yield* run(async () => {
        await page.goto(url)
        await page.locator("#file").setInputFiles(path)
        await page.locator("#chosen-list").getByText("a.bin").waitFor()
        Fs.rmSync(path)
        await page.getByRole("button", { name: "Upload" }).click()
        await page.getByRole("alert").getByText("A file cannot be read").waitFor()
        await page.getByRole("button", { name: "Remove a.bin" }).click()

        let isFailing = true
        let pieces = 0
        await page.route("**/uploads/**", (route) =>
          route.request().method() === "PATCH" && ++pieces > 1 && isFailing
            ? route.fulfill({ status: 500, json: { success: false, status: 500, code: "INTERNAL", message: "no" } })
            : route.continue())
        await page.locator("#file").setInputFiles({ name: "b.bin", mimeType: "", buffer: Buffer.alloc(3_000_000, 1) })
        await page.getByRole("button", { name: "Upload" }).click()
        await page.getByText(/^The host reports a problem: .* The upload continues when the host/).waitFor()
        isFailing = false
        await page.getByRole("heading", { name: "Your link is ready" }).waitFor()
      })
    }))

  it.live("nothing that was chosen is left out: a text beside files, and files with one name in an archive", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const { page, seen } = yield* open(url)
      const file = (name: string, content: string) => ({ name, mimeType: "", buffer: Buffer.from(content) })
      yield* run(async () => {
        await page.goto(url)
        await page.locator("#file").setInputFiles([
          file("a.txt", "first"),
          file("A.txt", "second"),
          file("a.txt", "third"),
          file("..\\a.txt", "fourth")
        ])
        await page.getByLabel("Send the files as one ZIP archive").check()
        await page.getByText("Write a text instead").click()
        await page.getByLabel("Text", { exact: true }).fill("and words")
        await page.getByRole("button", { name: "Upload" }).click()
        await page.getByRole("heading", { name: "Your links are ready" }).waitFor()
        const links = await Promise.all([0, 1].map((index) => page.locator(`#link-${index}`).inputValue()))
        await page.goto(links[1]!)
        await page.getByRole("button", { name: "Show the text" }).click()
        await page.locator("#shown").getByText("and words").waitFor()
        await page.goto(links[0]!)
      })
      const zip = yield* saved(page)
      for (const name of ["a.txt", "A (2).txt", "a (3).txt", ".._a.txt", "third", "fourth"]) {
        assert.isTrue(zip.bytes.includes(name), name)
      }
      assert.deepStrictEqual(seen, [])
    }))

  it.live("a browser whose settings forbid storage sends and receives, and warns before a link is lost", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const { context, page, seen } = yield* open(url)
      yield* run(() =>
        context.addInitScript(`{
          const fail = () => { throw new DOMException("forbidden", "SecurityError") }
          for (const name of ["localStorage", "sessionStorage", "indexedDB"]) {
            Object.defineProperty(globalThis, name, { get: fail })
          }
          LockManager.prototype.request = ServiceWorkerContainer.prototype.register =
            StorageManager.prototype.estimate = async () => fail()
        }`)
      )
      const link = yield* run(async () => {
        await page.goto(url)
        await page.locator("#file").setInputFiles({ name: "a.bin", mimeType: "", buffer: Buffer.from("content") })
        const link = await send(page)
        await page.getByText("This browser did not keep the link in its list").waitFor()
        const asked = page.waitForEvent("dialog")
        await page.close({ runBeforeUnload: true })
        await (await asked).accept()
        return link
      })
      const receiver = yield* run(() => context.newPage())
      yield* run(() => pretendLarge(receiver))
      yield* run(() => receiver.goto(pageOf(link)))
      assert.strictEqual(String((yield* saved(receiver)).bytes), "content")
      assert.deepStrictEqual(seen, [])
    }))

  it.live("a worker that did not start can start at the next attempt", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const { page } = yield* open(url)
      yield* run(async () => {
        await page.goto(url)
        await page.locator("#file").setInputFiles({ name: "a.bin", mimeType: "", buffer: Buffer.from("content") })
        const link = await send(page)
        await page.addInitScript(`{
          const { register } = ServiceWorkerContainer.prototype
          let calls = 0
          ServiceWorkerContainer.prototype.register = function(...given) {
            return ++calls === 1 ? Promise.reject(new Error("the network is away")) : register.apply(this, given)
          }
        }`)
        await pretendLarge(page)
        await page.goto(pageOf(link))
        await page.getByRole("button", { name: "Download" }).click()
        await page.getByRole("alert").getByText("the network is away").waitFor()
      })
      assert.strictEqual(String((yield* saved(page)).bytes), "content")
    }))
})
