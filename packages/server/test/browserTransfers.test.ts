/** Encrypted transfers with the pages: large ones, broken ones, wrong secrets, and with the age program at the other end. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFile, execFileSync, spawnSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Page } from "playwright-core"
import {
  close,
  free,
  hasChromium,
  largeFile,
  launch,
  open,
  progressed,
  run,
  saved,
  send,
  sha256,
  slowly,
  watchMemory
} from "./browser.ts"
import { network } from "./network.ts"
import { RARELY_LOADED } from "./pageAssets.ts"
import { ANNA, blobs, call, FRED, pattern, start, temporaryFolder, uploaded } from "./support.ts"

const hasAge = spawnSync("age", ["--version"]).status === 0
if (!hasAge) console.warn("SKIPPED: the pages with the age program, which is not installed (Debian: age)")

/** Megabytes of the large file: more than the page keeps in memory. */
const MEGABYTES = Number(process.env["FILEIO_BROWSER_MB"] ?? "70")
/** What the browser may use for a file of any size: less than 300 MB, and as much as it needs to start. */
const MOST_MEMORY = 250_000_000

/** The connection breaks, and comes back when the page has said that it is away. */
const interrupted = async (page: Page, between: Effect.Success<ReturnType<typeof network>>, what: string) => {
  await between.away()
  await page.context().setOffline(true)
  await page.getByText(`The connection is away. The ${what} continues`).waitFor()
  await page.context().setOffline(false)
  between.back()
}

/** Runs a program beside the server of this process. */
const execute = (command: string, args: ReadonlyArray<string>, cwd: string) =>
  run(() => promisify(execFile)(command, args, { cwd, timeout: 200_000 }))

/** Encrypts with the age program, uploads as a stranger's client does, and makes the link of it. */
const encryptedByAge = Effect.fnUntraced(function*(url: string, folder: string, path: string, name: string) {
  const key = Path.join(folder, "key.txt")
  if (!Fs.existsSync(key)) execFileSync("age-keygen", ["-o", key], { stdio: "ignore" })
  const identity = /AGE-SECRET-KEY-1\w+/.exec(Fs.readFileSync(key, "utf8"))![0]
  execFileSync("age", ["-e", "-i", key, "-o", `${path}.age`, path])
  const { key: file } = yield* uploaded(url, new Uint8Array(Fs.readFileSync(`${path}.age`)), {
    name: "0123456789abcdef.age"
  })
  return { key: file, link: `${url}/${file}#age=${identity}&name=${encodeURIComponent(name)}` }
})

describe.skipIf(!hasChromium)("encrypted transfers in a real browser", () => {
  beforeAll(launch)
  afterAll(close)

  it.live(
    `${MEGABYTES} MB go up and down while the network is away in between, and the host learns nothing`,
    () =>
      Effect.gen(function*() {
        const server = yield* start(free)
        const folder = yield* temporaryFolder
        const source = largeFile(folder, MEGABYTES)
        const between = yield* network(server.url)
        const sender = yield* open(between.url)
        const loaded: Array<string> = []
        const link = yield* run(async () => {
          const { page } = sender
          page.on("request", (request) => loaded.push(request.url()))
          await page.goto(between.url)
          await page.locator("#file").setInputFiles(source)
          const grown = await watchMemory()
          // Slow enough that it is not over before the network goes away.
          const lift = await slowly(page, MEGABYTES * 100_000)
          await page.getByRole("button", { name: "Upload" }).click()
          await progressed(page, 0.1)
          await interrupted(page, between, "upload")
          await lift()
          await page.getByRole("heading", { name: "Your link is ready" }).waitFor()
          assert.isBelow(await grown(), MOST_MEMORY)
          return page.locator("#link-0").inputValue()
        })
        assert.strictEqual(blobs(server).length, 1)

        const receiver = yield* open(between.url)
        const path = yield* run(async () => {
          const { page } = receiver
          page.on("request", (request) => loaded.push(request.url()))
          await page.goto(link)
          await page.getByRole("heading", { name: `${MEGABYTES} megabytes.bin` }).waitFor()
          const grown = await watchMemory()
          const lift = await slowly(page, MEGABYTES * 100_000)
          // A large one begins at once, a small one when all of it is here.
          const waiting = page.waitForEvent("download")
          await page.getByRole("button", { name: "Download" }).click()
          await progressed(page, 0.1)
          await interrupted(page, between, "download")
          await lift()
          const download = await waiting
          const path = await download.path()
          await page.getByText("Done: the file is complete").waitFor()
          assert.isBelow(await grown(), MOST_MEMORY)
          return path
        })
        assert.strictEqual(sha256(path), sha256(source))
        assert.strictEqual((yield* call(link)).status, 404)
        // `pages.test.ts` does not count these for this way.
        assert.isAbove(loaded.filter((url) => url.endsWith(".js")).length, 8)
        assert.deepStrictEqual(loaded.filter((url) => RARELY_LOADED.test(url)), [])
        // The console reports the connections that broke.
        assert.deepStrictEqual([...sender.seen, ...receiver.seen].filter((line) => !line.includes("net::ERR_")), [])
      })
  )

  it.live.skipIf(!hasAge)(
    "what the page encrypts, age and the command line decrypt; what age encrypts, the page decrypts",
    () =>
      Effect.gen(function*() {
        const { url } = yield* start(free)
        const folder = yield* temporaryFolder
        const content = pattern(200_000)
        const source = Path.join(folder, "plan.bin")
        Fs.writeFileSync(source, content)
        const { page, seen } = yield* open(url)
        const line = yield* run(async () => {
          await page.goto(url)
          await page.locator("#file").setInputFiles(source)
          await page.getByLabel("Downloads").selectOption("2")
          await send(page)
          return page.locator("#results code").textContent()
        })
        // The line of the page, as it is.
        Fs.rmSync(source)
        yield* execute("bash", ["-c", `set -o pipefail; ${line}`], folder)
        assert.isTrue(Fs.readFileSync(source).equals(Buffer.from(content)))
        Fs.rmSync(source)
        const link = yield* run(() => page.locator("#link-0").inputValue())
        const fileio = fileURLToPath(new URL("../../cli/src/bin.ts", import.meta.url))
        yield* execute(process.execPath, [fileio, "download", link], folder)
        assert.isTrue(Fs.readFileSync(source).equals(Buffer.from(content)))

        const { link: theirs } = yield* encryptedByAge(url, folder, source, "from age.bin")
        yield* run(() => page.goto(theirs))
        const file = yield* saved(page)
        assert.strictEqual(file.name, "from age.bin")
        assert.isTrue(file.bytes.equals(content))
        assert.deepStrictEqual(seen, [])
      })
  )

  it.live.skipIf(!hasAge)(
    "a large file is saved while it is decrypted; two tabs, a double click and a reload lose nothing",
    () =>
      Effect.gen(function*() {
        const { url } = yield* start({ ...free })
        const folder = yield* temporaryFolder
        const source = largeFile(folder, 66)
        const { key, link } = yield* encryptedByAge(url, folder, source, "large.bin")
        const { context, page, seen } = yield* open(url)
        const other = yield* run(() => context.newPage())
        const path = yield* run(async () => {
          await page.goto(link)
          const lift = await slowly(page, 2_000_000)
          await page.getByRole("button", { name: "Download" }).dblclick()
          await progressed(page, 0.05)
          // Another tab of the same browser does not take the download away.
          await other.goto(link)
          await other.getByRole("button", { name: "Download" }).click()
          await other.getByText("Another tab of this browser is downloading this file.").waitFor()
          await other.close()
          // A reload in the middle breaks it; the same browser begins again at once.
          page.on("dialog", (dialog) => void dialog.accept())
          await page.reload()
          await lift()
          const waiting = page.waitForEvent("download")
          await page.getByRole("button", { name: "Download" }).click()
          const download = await waiting
          assert.strictEqual(download.suggestedFilename(), "large.bin")
          const path = await download.path()
          await page.getByText("Done: the file is complete").waitFor()
          return path
        })
        assert.strictEqual(sha256(path), sha256(source))
        assert.strictEqual((yield* call(`${url}/${key}`)).status, 404)
        assert.deepStrictEqual(seen, [])
      })
  )

  it.live(
    "a damaged link is said before the file is taken, and a wrong passphrase costs nothing",
    () =>
      Effect.gen(function*() {
        const { url } = yield* start(free)
        const { page, seen } = yield* open(url)
        const isThere = (link: string) => Effect.map(call(link, { method: "HEAD" }), ({ status }) => status === 200)
        const link = yield* run(async () => {
          await page.goto(url)
          await page.getByText("Write a text instead").click()
          await page.getByLabel("Text", { exact: true }).fill("see you at eight\n<b>really</b>")
          await page.getByText("Passphrase (optional)").first().click()
          await page.getByLabel("Passphrase").fill("correct horse battery staple")
          return send(page)
        })
        assert.match(link, /#age=passphrase&name=text%2Etxt$|#age=passphrase&name=text\.txt$/)

        yield* run(async () => {
          await page.goto(link)
          await page.getByRole("button", { name: "Show the text" }).click()
          await page.getByRole("alert").getByText("Nothing was downloaded").waitFor()
        })
        assert.isTrue(yield* isThere(link))
        yield* run(async () => {
          await page.getByLabel("Passphrase").fill("wrong")
          await page.getByRole("button", { name: "Show the text" }).click()
          await page.getByRole("alert").getByText("This does not decrypt the file").waitFor()
          await page.getByLabel("Passphrase").fill("correct horse battery staple")
          await page.getByRole("button", { name: "Show the text" }).click()
          await page.locator("#shown").waitFor()
          assert.strictEqual(await page.locator("#shown").textContent(), "see you at eight\n<b>really</b>")
        })

        const other = yield* run(async () => {
          await page.goto(url)
          await page.locator("#file").setInputFiles({ name: "a.bin", mimeType: "", buffer: Buffer.from("content") })
          return send(page)
        })
        const [address, fragment] = other.split("#")
        yield* run(async () => {
          const damaged = fragment!.replace(
            /(AGE-SECRET-KEY-1\w{20})(\w)/,
            (_, start, next) => `${start}${next === "Q" ? "P" : "Q"}`
          )
          await page.goto(`${address}#${damaged}`)
          await page.getByRole("alert").getByText("This link is damaged").waitFor()
          assert.isTrue(await page.getByRole("button", { name: "Download" }).isDisabled())
          // Without its end, the page says what is missing, and the complete link works in the same tab.
          await page.goto("about:blank")
          await page.goto(address!)
          await page.getByText("its key is missing").waitFor()
        })
        assert.isTrue(yield* isThere(other))
        yield* run(() => page.goto(other))
        yield* run(() => page.getByRole("heading", { name: "a.bin" }).waitFor())
        assert.strictEqual(String((yield* saved(page)).bytes), "content")
        assert.deepStrictEqual(seen, [])
      })
  )

  it.live(
    "several files are a link each, or one archive; names are hostile; a text without encryption is shown",
    () =>
      Effect.gen(function*() {
        const { url } = yield* start(free)
        const { page, seen } = yield* open(url, { permissions: ["clipboard-read", "clipboard-write"] })
        // A device with a share sheet, which is closed without a choice.
        yield* run(() =>
          page.addInitScript(`{
            const shared = globalThis.shared = []
            Navigator.prototype.share = (data) => {
              shared.push(data)
              return Promise.reject(new DOMException("closed", "AbortError"))
            }
          }`)
        )
        const evil = "../<img src=x onerror=alert(1)>'; rm -rf ~ #&name=x.txt"
        const files = [
          { name: evil, mimeType: "", buffer: Buffer.from("first content") },
          { name: "b.bin", mimeType: "", buffer: Buffer.from("second content") }
        ]
        const links = yield* run(async () => {
          await page.goto(url)
          await page.locator("#file").setInputFiles(files)
          await page.getByRole("button", { name: "Upload" }).click()
          await page.getByRole("heading", { name: "Your links are ready" }).waitFor()
          const links = await Promise.all([0, 1].map((index) => page.locator(`#link-${index}`).inputValue()))
          // Each has its code and its line, and all are copied and shared together.
          const second = page.locator("#results .card").nth(1)
          await second.getByText("QR code and terminal").click()
          await second.getByRole("img", { name: "QR code of the link" }).waitFor()
          assert.include((await second.locator("code").textContent())!, links[1]!.split("#")[0]!)
          await page.getByRole("button", { name: "Copy all links" }).click()
          assert.strictEqual(await page.evaluate("navigator.clipboard.readText()"), links.join("\n"))
          await page.getByRole("button", { name: "Share all links" }).click()
          await second.getByRole("button", { name: "Share", exact: true }).click()
          assert.deepStrictEqual(await page.evaluate("shared"), [{ text: links.join("\n") }, { url: links[1] }])
          return links
        })
        for (const [index, { buffer }] of files.entries()) {
          yield* run(() => page.goto(links[index]!))
          const file = yield* saved(page)
          assert.strictEqual(String(file.bytes), String(buffer))
          assert.notMatch(file.name, /[/<>]/)
        }
        const archive = yield* run(async () => {
          await page.goto(url)
          await page.locator("#file").setInputFiles(files)
          await page.getByLabel("Send the files as one ZIP archive").check()
          const link = await send(page)
          await page.goto(link)
          return link
        })
        const zip = yield* saved(page)
        assert.match(zip.name, /\.zip$/)
        for (const part of ["first content", "second content", "b.bin", "PK\u0005\u0006"]) {
          assert.isTrue(zip.bytes.includes(part), part)
        }
        assert.strictEqual((yield* call(archive)).status, 404)

        // Not encrypted: a text is shown when asked for, and is taken by that.
        const plain = yield* run(async () => {
          await page.goto(url)
          await page.getByText("Write a text instead").click()
          await page.getByLabel("Text", { exact: true }).fill("only <words>")
          await page.getByLabel("Encrypt in this browser").uncheck()
          const link = await send(page)
          await page.goto(link)
          await page.getByRole("button", { name: "Show the text" }).click()
          await page.locator("#shown").waitFor()
          assert.strictEqual(await page.locator("#shown").textContent(), "only <words>")
          return link
        })
        assert.strictEqual((yield* call(plain)).status, 404)
        assert.deepStrictEqual(seen, [])
      })
  )

  it.live(
    "a sender without an account takes a link back, and sees what became of the others",
    () =>
      Effect.gen(function*() {
        const { url } = yield* start(free)
        const { page, seen } = yield* open(url)
        const sent: Array<string> = []
        for (const name of ["deleted.bin", "taken.bin"]) {
          sent.push(
            yield* run(async () => {
              await page.goto(url)
              await page.locator("#file").setInputFiles({ name, mimeType: "", buffer: Buffer.from(name) })
              return send(page)
            })
          )
        }
        const row = (name: string) => page.locator("#links-list li").filter({ hasText: name })
        yield* run(async () => {
          await row("deleted.bin").getByText("not downloaded yet").waitFor()
          // The first press asks.
          await row("deleted.bin").getByRole("button", { name: "Delete" }).click()
          await row("deleted.bin").getByRole("button", { name: "Delete for good?" }).click()
          await row("deleted.bin").getByText("deleted", { exact: true }).waitFor()
        })
        assert.strictEqual((yield* call(sent[0]!)).status, 404)
        assert.strictEqual((yield* call(sent[1]!)).status, 200)
        yield* run(async () => {
          await page.goto(url)
          await row("taken.bin").getByText("downloaded", { exact: true }).waitFor()
          await row("deleted.bin").getByText("deleted", { exact: true }).waitFor()
          await row("taken.bin").getByRole("button", { name: "Remove from the list" }).click()
          await page.reload()
          await row("deleted.bin").waitFor()
          assert.strictEqual(await page.locator("#links-list li").count(), 1)
        })
        assert.deepStrictEqual(seen, [])
      })
  )

  it.live(
    "who has an account gives its key: the plan's choices are offered, and the key is kept for the tab alone",
    () =>
      Effect.gen(function*() {
        const { url } = yield* start({
          anonymous: "downloads",
          plans: {
            free: { rateLimit: null, maxUploadBytes: 1000 },
            premium: { rateLimit: null, maxStorageBytes: 10_000 }
          }
        })
        const { context, page, seen } = yield* open(url)
        yield* run(async () => {
          await page.goto(url)
          await page.locator("#file").setInputFiles({ name: "a.bin", mimeType: "", buffer: Buffer.alloc(2000, 1) })
          await page.getByLabel("API key").fill("WRONG00.0000000-0000000-0000000-0000001")
          await page.getByLabel("API key").blur()
          await page.getByRole("alert").getByText("The host does not know this API key").waitFor()
          await page.getByLabel("API key").fill(FRED)
          await page.getByLabel("API key").blur()
          await page.getByRole("alert").getByText("at most 1 kB can be uploaded").waitFor()
          assert.isTrue(await page.getByLabel("Downloads").isHidden())
          await page.getByLabel("API key").fill(ANNA)
          await page.getByLabel("API key").blur()
          await page.getByLabel("Downloads").selectOption("25")
          await page.getByLabel("Delete after").selectOption({ label: "Never" })
          const link = await send(page)
          // What is left of the account's storage is known without another question.
          await page.getByRole("button", { name: "Send another file" }).click()
          const large = { name: "b.bin", mimeType: "", buffer: Buffer.alloc(9000, 1) }
          await page.locator("#file").setInputFiles(large)
          await page.getByRole("alert").getByText("The account has room for 7.5 kB more").waitFor()
          assert.include(link, "#age=")
          await page.reload()
          assert.strictEqual(await page.getByLabel("API key").inputValue(), ANNA)
          const other = await context.newPage()
          await other.goto(url)
          assert.strictEqual(await other.getByLabel("API key").inputValue(), "")
        })
        assert.deepStrictEqual(seen.filter((line) => !line.includes("401")), [])
      })
  )

  it.live(
    "without https, where browsers have neither a worker nor their own cryptography, files are encrypted too",
    () =>
      Effect.gen(function*() {
        const server = yield* start(free)
        const url = server.url.replace("127.0.0.1", "files.test")
        const { page, seen } = yield* open(url)
        const content = pattern(300_000)
        yield* run(async () => {
          await page.goto(url)
          assert.isFalse(await page.evaluate("isSecureContext"))
          await page.locator("#file").setInputFiles({ name: "a.bin", mimeType: "", buffer: Buffer.from(content) })
          const link = await send(page)
          // Without https there is no clipboard for scripts, and copying works too.
          await page.locator("#results").getByRole("button", { name: "Copy the link" }).click()
          await page.getByRole("button", { name: "Send another file" }).click()
          await page.getByText("Write a text instead").click()
          await page.getByLabel("Text", { exact: true }).press("Control+V")
          assert.strictEqual(await page.getByLabel("Text", { exact: true }).inputValue(), link)
          assert.match(link, /^http:\/\/files\.test:\d+\/\w+#age=AGE-SECRET-KEY-1/)
          await page.goto(link)
          await page.getByRole("heading", { name: "a.bin" }).waitFor()
        })
        const file = yield* saved(page)
        assert.isTrue(file.bytes.equals(content))
        assert.deepStrictEqual(seen, [])
      })
  )

  it.live(
    "where one of several files fails, the others have their links, and the rest can be sent again",
    () =>
      Effect.gen(function*() {
        const { url } = yield* start(free)
        const { page, seen } = yield* open(url)
        const files = ["a.bin", "b.bin", "c.bin"].map((name) => ({ name, mimeType: "", buffer: Buffer.from(name) }))
        yield* run(async () => {
          await page.goto(url)
          await page.locator("#file").setInputFiles(files)
          let uploads = 0
          await page.route(`${url}/`, (route) =>
            route.request().method() === "POST" && ++uploads === 2
              ? route.fulfill({
                status: 400,
                json: { success: false, status: 400, code: "INVALID_REQUEST", message: "no" }
              })
              : route.continue())
          await page.getByRole("button", { name: "Upload" }).click()
          await page.getByRole("alert").getByText("The file was not uploaded").waitFor()
          assert.strictEqual(await page.locator("#results input").count(), 1)
          assert.deepStrictEqual(await page.locator("#chosen-list .name").allTextContents(), ["b.bin", "c.bin"])
          await page.getByRole("button", { name: "Upload" }).click()
          await page.getByRole("heading", { name: "Your links are ready" }).waitFor()
          assert.strictEqual(await page.locator("#results input").count(), 3)
          assert.isTrue(await page.locator("#upload").isHidden())
          await page.getByRole("button", { name: "Send other files" }).click()
          await page.getByRole("heading", { name: "Send a file once" }).waitFor()
          assert.strictEqual(await page.locator("#chosen-list li").count(), 0)
        })
        assert.deepStrictEqual(seen.filter((line) => !line.includes("400")), [])
      })
  )
})
