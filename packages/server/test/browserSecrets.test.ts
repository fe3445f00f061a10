/** What the page of receivers says of a wrong secret, before the file is taken, and of a header that it does not get. */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import type { Page } from "playwright-core"
import { ARMORED, CONTENT, headerOf, PASSPHRASE, POST_QUANTUM, WITH_PASSPHRASE } from "./ageFiles.ts"
import { close, free, hasChromium, launch, open, pageOf, pretendLarge, run, saved, send } from "./browser.ts"
import { anna, assertRefused, call, pattern, start, uploaded } from "./support.ts"

const hasAge = spawnSync("age", ["--version"]).status === 0
if (!hasAge) console.warn("SKIPPED: wrong keys of the age program, which is not installed (Debian: age)")

/** A key of age that no file here is encrypted for. */
const STRANGER = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"

const NOT_THIS = "This does not decrypt the file. Nothing was downloaded."
const OTHER_LINK = "The key in this link does not open this file"

/** The sender encrypts a file with the page; returns its link. */
const sendByPage = (url: string, passphrase?: string, content = Buffer.from("content")) =>
  Effect.gen(function*() {
    const { page, seen } = yield* open(url)
    const link = yield* run(async () => {
      await page.goto(url)
      await page.locator("#file").setInputFiles({ name: "a.bin", mimeType: "", buffer: content })
      if (passphrase !== undefined) {
        await page.getByText("Passphrase (optional)").first().click()
        await page.getByLabel("Passphrase").fill(passphrase)
      }
      return send(page)
    })
    assert.deepStrictEqual(seen, [])
    return link
  })

const keyOf = (link: string): string => /\/(\w+)#/.exec(link)![1]!

/** Nobody has begun to download it. */
const assertUntouched = Effect.fnUntraced(function*(url: string, key: string) {
  const { json } = yield* call(`${url}/status/${key}`)
  assert.deepStrictEqual([json["state"], json["downloads"], json["attempts"]], ["available", 0, 0])
})

const enter = async (page: Page, label: string, secret: string, button = "Download") => {
  await page.getByLabel(label).fill(secret)
  await page.getByRole("button", { name: button }).click()
}

const says = (page: Page, text: string) => page.getByRole("alert").getByText(text).waitFor()

describe.skipIf(!hasChromium)("a wrong secret in a real browser", () => {
  beforeAll(launch, 60_000)
  afterAll(close)

  for (const isLarge of [false, true]) {
    it.live(`a wrong passphrase of a ${isLarge ? "large" : "small"} file is said, and its copy is still there`, () =>
      Effect.gen(function*() {
        const { url } = yield* start(free)
        const content = pattern(1_000_000)
        const link = yield* sendByPage(url, "correct horse", content)
        const { page, seen } = yield* open(url)
        const asked: Array<string> = []
        page.on("request", (request) => asked.push(request.url()))
        yield* run(async () => {
          if (isLarge) await pretendLarge(page)
          await page.goto(pageOf(link))
        })
        for (const wrong of ["wrong", "correct horse "]) {
          yield* run(async () => {
            await enter(page, "Passphrase", wrong)
            await says(page, NOT_THIS)
            assert.isTrue(await page.locator("#secret").isVisible())
            assert.strictEqual(await page.evaluate("document.activeElement.id"), "secret")
          })
          yield* assertUntouched(url, keyOf(link))
          // The next one is said by itself.
          yield* run(() => page.getByLabel("Passphrase").fill(""))
        }
        yield* run(() => page.getByLabel("Passphrase").fill("correct horse"))
        assert.isTrue((yield* saved(page)).bytes.equals(content))
        assert.strictEqual(asked.filter((address) => address.includes("?download=1")).length, 1)
        assert.strictEqual((yield* call(link)).status, 404)
        assert.deepStrictEqual(seen, [])
      }))
  }

  it.live("a file of `age -p`, armored or not, is tried before it is taken", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      for (const content of [WITH_PASSPHRASE, Buffer.from(ARMORED)]) {
        const { key } = yield* uploaded(url, content, { name: "plan.txt.age" })
        const { page, seen } = yield* open(url)
        yield* run(async () => {
          await page.goto(`${url}/download/${key}#age=passphrase`)
          await enter(page, "Passphrase", "wrong", "Show the text")
          await says(page, NOT_THIS)
        })
        yield* assertUntouched(url, key)
        yield* run(async () => {
          await enter(page, "Passphrase", PASSPHRASE, "Show the text")
          await page.locator("#shown").waitFor()
          assert.strictEqual(await page.locator("#shown").textContent(), CONTENT)
        })
        assert.deepStrictEqual(seen, [])
      }
    }))

  it.live.skipIf(!hasAge)(
    "a key that is none of the recipients' of age is said, and theirs all decrypt",
    () =>
      Effect.gen(function*() {
        const { url } = yield* start(free)
        const keys = Array.from({ length: 20 }, () => {
          const file = execFileSync("age-keygen", { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
          return { secret: /AGE-SECRET-KEY-1\w+/.exec(file)![0], recipient: /age1\w+/.exec(file)![0] }
        })
        const recipients = keys.flatMap(({ recipient }) => ["-r", recipient])
        const content = execFileSync("age", recipients, { input: CONTENT })
        for (const { secret } of [keys[0]!, keys[19]!]) {
          const { key } = yield* uploaded(url, new Uint8Array(content), { name: "plan.bin.age" })
          const { page, seen } = yield* open(url)
          yield* run(async () => {
            await page.goto(`${url}/download/${key}#age=identity`)
            await enter(page, "Secret key", STRANGER)
            await says(page, NOT_THIS)
          })
          yield* assertUntouched(url, key)
          yield* run(() => page.getByLabel("Secret key").fill(secret))
          assert.strictEqual(String((yield* saved(page)).bytes), CONTENT)
          assert.deepStrictEqual(seen, [])
        }
      })
  )

  it.live("a post-quantum key is tried too, and decrypts", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const { key } = yield* uploaded(url, POST_QUANTUM.file, { name: "plan.bin.age" })
      const { page, seen } = yield* open(url)
      yield* run(async () => {
        await page.goto(`${url}/download/${key}#age=identity`)
        await enter(page, "Secret key", STRANGER)
        await says(page, NOT_THIS)
        await page.getByLabel("Secret key").fill(POST_QUANTUM.identity)
      })
      yield* assertUntouched(url, key)
      assert.strictEqual(String((yield* saved(page)).bytes), CONTENT)
      assert.deepStrictEqual(seen, [])
    }))

  it.live("a link whose key is of another file says so, and the file's own link works in the same tab", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const [one, other] = [yield* sendByPage(url), yield* sendByPage(url)]
      const { page, seen } = yield* open(url)
      yield* run(async () => {
        await page.goto(pageOf(`${one.split("#")[0]}#${other.split("#")[1]}`))
        for (let press = 0; press < 2; press++) {
          await page.getByRole("button", { name: "Download" }).click()
          await says(page, OTHER_LINK)
        }
      })
      yield* assertUntouched(url, keyOf(one))
      yield* run(async () => {
        await page.goto(pageOf(one))
        await page.getByRole("alert").waitFor({ state: "hidden" })
        await page.getByRole("button", { name: "Download", disabled: false }).waitFor()
      })
      assert.strictEqual(String((yield* saved(page)).bytes), "content")
      assert.deepStrictEqual(seen, [])
    }))

  it.live("a file that was replaced or deleted since its page was opened is tried as it is at the press", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const replace = (key: string, content: Uint8Array<ArrayBuffer> | string) => {
        const form = new FormData()
        form.append("file", new Blob([content]), "a.age")
        return call(`${url}/${key}`, { method: "PUT", headers: anna, body: form })
      }
      const { page, seen } = yield* open(url)
      const { key } = yield* uploaded(url, headerOf(1), { headers: anna, name: "a.age" })
      yield* run(async () => {
        await page.goto(`${url}/download/${key}#age=passphrase`)
        await enter(page, "Passphrase", PASSPHRASE)
        await says(page, "This does not decrypt the file")
      })
      assert.strictEqual((yield* replace(key, WITH_PASSPHRASE)).status, 200)
      assert.strictEqual(String((yield* saved(page)).bytes), CONTENT)

      const { key: other } = yield* uploaded(url, WITH_PASSPHRASE, { headers: anna, name: "a.age" })
      yield* run(async () => {
        await page.goto(`${url}/download/${other}#age=passphrase`)
        await page.getByLabel("Passphrase").waitFor()
      })
      yield* replace(other, headerOf(1))
      yield* run(async () => {
        await enter(page, "Passphrase", PASSPHRASE)
        await says(page, "This does not decrypt the file")
      })
      yield* assertUntouched(url, other)
      yield* call(`${url}/${other}`, { method: "DELETE", headers: anna })
      yield* run(async () => {
        await page.getByRole("button", { name: "Download" }).click()
        await page.getByText("The file is gone").waitFor()
        assert.isTrue(await page.getByRole("button", { name: "Download" }).isDisabled())
      })
      assert.deepStrictEqual(seen, [])
    }))

  it.live("what else a header shows is said too, and no header harms the page", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const { page, seen } = yield* open(url)
      const scrypt = WITH_PASSPHRASE.toString("latin1")
      const grease = `-> ">'<script>alert(1)</script> \${x}\n${"g".repeat(64)}\n\n-> grease\n\n`
      for (
        const [content, said] of [
          [headerOf(100), NOT_THIS],
          [headerOf(1).replace("--- ", `${grease}--- `), NOT_THIS],
          // It would take 1 PB of memory.
          [scrypt.replace(" 18\n", " 40\n"), "its work factor is 40"],
          [scrypt.replace(" 18\n", " x\n"), "invalid scrypt stanza"],
          [scrypt.replace("--- ", `${grease}--- `), "a passphrase and other keys together"],
          [scrypt.replace("--- Y", "--- Z"), "Nothing was downloaded."]
        ] as const
      ) {
        const { key } = yield* uploaded(url, Buffer.from(content, "latin1"), { name: "a.age" })
        yield* run(async () => {
          await page.goto("about:blank")
          await page.goto(`${url}/download/${key}#age=passphrase`)
          await enter(page, "Passphrase", PASSPHRASE)
          await says(page, said)
          await says(page, "Nothing was downloaded.")
        })
        yield* assertUntouched(url, key)
      }
      // What is no header, or none that the host gives, does not keep the receiver from the bytes.
      for (const content of ["content", scrypt.slice(0, 60), headerOf(300), "age-encryption.org/v1\n\n"]) {
        const { key } = yield* uploaded(url, content, { name: "a.age" })
        yield* run(async () => {
          await page.goto("about:blank")
          page.once("dialog", (dialog) => void dialog.accept())
          await page.goto(`${url}/download/${key}#age=passphrase`)
          await enter(page, "Passphrase", PASSPHRASE)
        })
        const file = yield* saved(page, "Save the encrypted file")
        assert.strictEqual(String(file.bytes), content)
        assertRefused(yield* call(`${url}/${key}`), 404, "FILE_NOT_FOUND")
      }
      assert.deepStrictEqual(seen, [])
    }))

  for (
    const [what, respond] of [
      ["that fails", (page: Page) => page.route("**/header/*", (route) => route.fulfill({ status: 503, body: "{}" }))],
      ["that never comes", (page: Page) => page.route("**/header/*", () => {})],
      ["that is cut off", (page: Page) => page.route("**/header/*", (route) => route.abort("connectionreset"))]
    ] as const
  ) {
    it.live(`a header ${what} does not hold the download, whose bytes are kept after a wrong passphrase`, () =>
      Effect.gen(function*() {
        const { url } = yield* start(free)
        const link = yield* sendByPage(url, "correct horse")
        const { page, seen } = yield* open(url)
        yield* run(async () => {
          await respond(page)
          await page.goto(pageOf(link))
          await enter(page, "Passphrase", "wrong")
          await says(page, "This does not decrypt the file. The encrypted file is here; try again.")
          assert.strictEqual(await page.evaluate("document.activeElement.id"), "secret")
        })
        assert.strictEqual((yield* call(link)).status, 404)
        yield* run(() => page.getByLabel("Passphrase").fill("correct horse"))
        assert.strictEqual(String((yield* saved(page)).bytes), "content")
        assert.deepStrictEqual(seen.filter((line) => !/503|ERR_CONNECTION_RESET/.test(line)), [])
      }))
  }

  it.live("cancelled while the secret is tried, nothing is taken", () =>
    Effect.gen(function*() {
      const { url } = yield* start(free)
      const link = yield* sendByPage(url)
      const { page, seen } = yield* open(url)
      yield* run(async () => {
        await page.route("**/header/*", () => {})
        await page.goto(pageOf(link))
        await page.getByRole("button", { name: "Download" }).click()
        await page.getByText("Checking the key").waitFor()
        await page.getByRole("button", { name: "Cancel" }).click()
        await page.getByRole("alert").getByText("The download was stopped.", { exact: true }).waitFor()
        await page.unrouteAll({ behavior: "ignoreErrors" })
      })
      yield* assertUntouched(url, keyOf(link))
      assert.strictEqual(String((yield* saved(page)).bytes), "content")
      assert.deepStrictEqual(seen, [])
    }))
})
