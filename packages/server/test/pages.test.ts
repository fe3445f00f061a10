import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { once } from "node:events"
import { type IncomingMessage, request } from "node:http"
import { brotliDecompressSync, gunzipSync, gzipSync } from "node:zlib"
import * as LongName from "../src/internal/web/longName.ts"
import { ar } from "../src/internal/web/words/ar.ts"
import { de } from "../src/internal/web/words/de.ts"
import { en } from "../src/internal/web/words/en.ts"
import { es } from "../src/internal/web/words/es.ts"
import { zh } from "../src/internal/web/words/zh.ts"
import { RARELY_LOADED } from "./pageAssets.ts"
import { anna, type Answer, assertRefused, call, sendParts, start, upload, uploaded } from "./support.ts"

const browser = { accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" }

const page = (url: string) => call(url, { headers: browser })

const assertPage = (answer: Answer, status: number, title: string): void => {
  assert.strictEqual(answer.status, status, answer.text)
  assert.strictEqual(answer.headers.get("content-type"), "text/html; charset=utf-8")
  assert.include(answer.text, `<h1 tabindex="-1">${title}</h1>`)
  const policy = answer.headers.get("content-security-policy")!
  assert.isTrue(policy.startsWith("default-src 'none'; script-src 'self'; style-src 'self'"))
  assert.notInclude(policy, "unsafe")
  assert.strictEqual(answer.headers.get("referrer-policy"), "same-origin")
  assert.strictEqual(answer.headers.get("cache-control"), "no-store")
  // Nothing in the page needs more than the policy allows.
  assert.notMatch(
    answer.text,
    /<script(?! src="(\.\.\/|\.\/)+assets\/)|<style|\sstyle=|\son[a-z]+=|https?:\/\/(?!127\.0\.0\.1)/
  )
}

/** Without what the script offers those who have an account. */
const offered = (text: string): string => text.replace(/<template[\s\S]*?<\/template>/g, "")

describe("the pages", () => {
  it.effect("load little at once, the SDK when it is needed, and what they load is kept for good", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const home = yield* page(url)
      assertPage(home, 200, "Send a file once")
      const { key } = yield* uploaded(url, "x", { headers: anna })
      const receiving = yield* page(`${url}/download/${key}`)
      const fetched = new Map<string, string>()
      const asset = Effect.fnUntraced(function*(name: string) {
        const known = fetched.get(name)
        if (known !== undefined) return known
        const answer = yield* call(`${url}/assets/${name}`)
        assert.strictEqual(answer.status, 200, name)
        assert.strictEqual(answer.headers.get("cache-control"), "public, max-age=31536000, immutable")
        assert.strictEqual(answer.headers.get("x-content-type-options"), "nosniff")
        fetched.set(name, answer.text)
        return answer.text
      })
      /** Bytes after gzip of a page, its style sheets and its script, with what the script imports at once, or also later. */
      const weigh = Effect.fnUntraced(function*({ text }: Answer, loaded: RegExp, imports: RegExp, except = /^$/) {
        const isLoaded = (name: string) => !except.test(name) && !RARELY_LOADED.test(name)
        const names = new Set(Array.from(text.matchAll(loaded), ([, name]) => name!))
        assert.isAtLeast(names.size, 2)
        let bytes = gzipSync(text, { level: 9 }).length
        for (const name of names) {
          const code = yield* asset(name)
          bytes += gzipSync(code, { level: 9 }).length
          for (const [, imported] of code.matchAll(imports)) if (isLoaded(imported!)) names.add(imported!)
        }
        return bytes
      })
      /** What the page itself loads; an encrypted file is also saved by the worker. */
      const byPage = /(?:src|href)="[./]*assets\/([\w-]+\.(?:css|js))"/g
      const withWorker = /"[./]*assets\/([\w-]+\.(?:css|js))"/g
      const atOnce = /(?:from|import)\s*["`']\.\/([\w-]+\.js)["`']/g
      const later = /["`']\.\/([\w-]+\.js)["`']/g
      const sizes = {
        sending: yield* weigh(home, byPage, atOnce),
        receiving: yield* weigh(receiving, byPage, atOnce),
        encryptedSending: yield* weigh(home, byPage, later, /^(?:archive|decrypt)-/),
        encryptedReceiving: yield* weigh(receiving, withWorker, later, /^(?:encrypt|fetchPieces)-/)
      }
      console.log(`the pages, gzipped: ${JSON.stringify(sizes)}`)
      assert.isBelow(sizes.sending, 16_100)
      assert.isBelow(sizes.receiving, 11_900)
      // With the SDK, Effect and encryption, loaded when the first file is sent, or on the page of an encrypted file.
      assert.isBelow(sizes.encryptedSending, 99_800)
      assert.isBelow(sizes.encryptedReceiving, 60_000)
      assertRefused(yield* call(`${url}/assets/page-000000000000.css`), 404, "NOT_FOUND")
    }))

  it.effect("come with assets in the smallest encoding that a client accepts", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const name = /assets\/([\w-]+\.js)"/.exec((yield* page(url)).text)![1]!
      /** Without the decoding of `fetch`. */
      const get = (accepted: string | undefined) =>
        Effect.promise(async () => {
          const headers = accepted === undefined ? {} : { "accept-encoding": accepted }
          const [response] = await once(request(`${url}/assets/${name}`, { headers }).end(), "response") as [
            IncomingMessage
          ]
          assert.strictEqual(response.statusCode, 200)
          assert.strictEqual(response.headers.vary, "accept-encoding")
          const bytes = Buffer.concat(await Array.fromAsync(response as AsyncIterable<Buffer>))
          assert.strictEqual(response.headers["content-length"], String(bytes.length))
          return { bytes, encoding: response.headers["content-encoding"] }
        })
      const plain = yield* get(undefined)
      assert.strictEqual(plain.encoding, undefined)
      for (const accepted of ["identity", "br;q=0, gzip;q=0.0", "zstd"]) {
        assert.deepStrictEqual(yield* get(accepted), plain, accepted)
      }
      for (
        const [accepted, encoding, decode] of [
          ["gzip, deflate, br, zstd", "br", brotliDecompressSync],
          ["gzip", "gzip", gunzipSync],
          ["GZIP;q=0.5, br;q=0", "gzip", gunzipSync]
        ] as const
      ) {
        const answer = yield* get(accepted)
        assert.strictEqual(answer.encoding, encoding, accepted)
        assert.isTrue(decode(answer.bytes).equals(plain.bytes), accepted)
        assert.isBelow(answer.bytes.length, plain.bytes.length / 2)
      }
    }))

  it.effect("show what a stranger wrote as text", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ plans: { premium: { directDownload: false } } })
      const evil = `"><script src=//evil.example></script><img onerror='x'>&`
      const { key } = yield* uploaded(url, "x", { name: `${evil}.txt`, fields: { title: evil } })
      for (const path of [`/download/${key}`, `/uploaded/${key}`]) {
        const { text } = yield* page(`${url}${path}`)
        assert.notInclude(text, "<script src=//evil")
        assert.notInclude(text, "<img onerror")
        assert.include(text, "&lt;script src=//evil.example&gt;")
      }
    }))

  it.effect("tell previews nothing of the file", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ plans: { premium: { directDownload: false } } })
      const { key } = yield* uploaded(url, "x", { name: "secret-name.txt", fields: { title: "secret-title" } })
      for (const path of [`/download/${key}`, `/uploaded/${key}`]) {
        const { text } = yield* page(`${url}${path}`)
        assert.include(text, "secret-name")
        const tags = text.match(/<meta [^>]*>/g)!
        for (const name of ["og:title", "og:description", "description"]) {
          assert.isTrue(tags.some((tag) => tag.includes(`="${name}" content="`) && !tag.includes(`content=""`)), name)
        }
        assert.notMatch(tags.join(), new RegExp(`secret|${key}`))
      }
    }))

  it("split a long name by its width, and keep its end", () => {
    assert.isUndefined(LongName.split("a".repeat(36)))
    assert.deepStrictEqual(LongName.split(`${"a".repeat(33)}.txt`), {
      start: "a".repeat(21),
      end: `${"a".repeat(12)}.txt`
    })
    assert.deepStrictEqual(LongName.split(`${"a".repeat(81)}.txt`), {
      start: `${"a".repeat(68)}…`,
      end: `${"a".repeat(12)}.txt`
    })
    // Letters that are twice as wide take twice the room.
    assert.isUndefined(LongName.split("漢".repeat(18)))
    for (const wide of ["漢", "W", "한", "😀"]) {
      const long = LongName.split(`${wide.repeat(50)}.txt`)!
      assert.deepStrictEqual(long, { start: `${wide.repeat(34)}…`, end: `${wide.repeat(6)}.txt` })
    }
  })

  it.effect("do not let a name or a title change the direction of the text around it", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ plans: { premium: { directDownload: false } } })
      for (
        const [name, title, heading] of [
          ["invoice\u202Efdp.exe", "", "<bdi>invoicefdp.exe</bdi>"],
          ["a.txt", "\u2067safe\u202Eexe", "<bdi>safeexe</bdi>"],
          ["a.txt", "\u202E\u200B", "<bdi>a.txt</bdi>"],
          ["\u0645\u06CC\u200C\u062E.pdf", "", "<bdi>\u0645\u06CC\u200C\u062E.pdf</bdi>"]
        ] as const
      ) {
        const { key } = yield* uploaded(url, "x", { name, fields: title === "" ? {} : { title } })
        assertPage(yield* page(`${url}/download/${key}`), 200, heading)
        for (const path of [`/download/${key}`, `/uploaded/${key}`]) {
          assert.notMatch((yield* page(`${url}${path}`)).text, /\p{Bidi_Control}/u)
        }
      }
    }))

  it.effect("respond to a form with the page of the link, which a reload does not upload again", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ anonymousPlan: "free" })
      const answer = yield* upload(url, "content", { headers: browser, name: "a.txt" })
      assert.strictEqual(answer.status, 303)
      const ready = yield* page(new URL(answer.headers.get("location")!, `${url}/`).href)
      assertPage(ready, 200, "Your link is ready")
      const link = /value="([^"]+)"/.exec(ready.text)![1]!
      assert.strictEqual((yield* call(link)).text, "content")
      assertPage(yield* page(link), 404, "This file is gone")
      assertPage(yield* page(link.replace(url, `${url}/uploaded`)), 404, "This file is gone")
    }))

  it.effect("let the browser that sent a file delete it, by a cookie for that page alone and by a command", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ anonymousPlan: "free" })
      const answer = yield* upload(url, "content", { headers: browser, name: "a.txt" })
      const [pair, ...attributes] = answer.headers.get("set-cookie")!.split("; ")
      const address = new URL(answer.headers.get("location")!, `${url}/`)
      assert.notInclude(address.href, pair!.split("=")[1]!)
      assert.includeMembers(attributes, [`Path=${address.pathname}`, "HttpOnly", "SameSite=Strict"])
      const mine = yield* call(address.href, { headers: { ...browser, cookie: pair! } })
      const [, token, link] = /Delete-Token: ([\w-]+)' ([^<]+)</.exec(mine.text)!
      assert.strictEqual(`fileio-sender=${token}`, pair)
      // Neither without the cookie nor with another one.
      for (const cookie of ["", "fileio-sender=AAAA", `fileio-sender=${"A".repeat(32)}`]) {
        const headers = { ...browser, ...(cookie === "" ? {} : { cookie }) }
        assert.notInclude((yield* call(address.href, { headers })).text, "Delete-Token")
        assertPage(yield* call(address.href, { method: "POST", headers }), 404, "This file is gone")
      }
      const strangers = { ...browser, cookie: pair!, origin: "https://other.example" }
      assert.strictEqual((yield* call(address.href, { method: "POST", headers: strangers })).status, 403)
      assert.strictEqual((yield* call(link!, { method: "HEAD" })).status, 200)
      assertPage(
        yield* call(address.href, { method: "POST", headers: { ...browser, cookie: pair! } }),
        200,
        "The file is deleted"
      )
      assert.strictEqual((yield* call(link!)).status, 404)
    }))

  it.effect("take the text of a form whose file was left empty", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      const none = [
        "Content-Disposition: form-data; name=\"file\"; filename=\"\"",
        "Content-Type: application/octet-stream"
      ]
      const text = ["Content-Disposition: form-data; name=\"text\""]
      for (const parts of [[[none, ""], [text, "words"]], [[text, "words"], [none, ""]]] as const) {
        const { json } = yield* sendParts(url, parts)
        assert.strictEqual(json["name"], "text.txt")
        assert.strictEqual((yield* call(`${url}/${json.key}`)).text, "words")
      }
      assertRefused(yield* sendParts(url, [[none, ""]]), 400, "INVALID_REQUEST")
      assertRefused(yield* sendParts(url, [[none, ""], [text, ""]]), 400, "INVALID_REQUEST")
    }))

  it.effect("explain every error, with its status", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ anonymousPlan: "free", plans: { free: { maxUploadBytes: 10 } } })
      const large = yield* upload(url, "more than ten bytes", { headers: browser })
      assertPage(large, 413, "The file was not uploaded")
      assert.include(large.text, "The file is larger than the plan allows (10 bytes).")
      assertPage(
        yield* upload(url, "x", { headers: browser, fields: { expires: "soon" } }),
        400,
        "The file was not uploaded"
      )
      assertPage(yield* page(`${url}/no/such/page`), 404, "This did not work")
      assertPage(yield* page(`${url}/abcdefghijkl`), 404, "This file is gone")
    }))

  it.effect("are for browsers alone: programs get the contract's JSON", () =>
    Effect.gen(function*() {
      const { url } = yield* start()
      assertRefused(yield* call(url), 401, "UNAUTHORIZED")
      assert.strictEqual((yield* call(url, { headers: { ...browser, ...anna } })).json["count"], 0)
      assertRefused(yield* call(`${url}/me`, { headers: browser }), 401, "UNAUTHORIZED")
      assertRefused(yield* call(`${url}/abcdefghijkl`), 404, "FILE_NOT_FOUND")
      assertRefused(yield* call(`${url}/abcdefghijkl`, { headers: { ...browser, ...anna } }), 404, "FILE_NOT_FOUND")
      assert.strictEqual((yield* upload(url, "x", { headers: { accept: "application/json" } })).status, 200)
    }))

  it.effect("speak the browser's language, also without the script", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ anonymousPlan: "free" })
      const spoken = (language: string) => call(url, { headers: { ...browser, "accept-language": language } })
      for (
        const [asked, tag, title] of [
          ["de-AT,de;q=0.9,en;q=0.8", "de", "Eine Datei einmal senden"],
          ["fr,es;q=0.5,de;q=0.4", "es", "Enviar un archivo una vez"],
          ["zh-Hans-CN", "zh", "发送一次性文件"],
          ["en;q=0.1, ar", "ar", "أرسل ملفًا لمرة واحدة"],
          ["de;q=0, fr", "en", "Send a file once"],
          ["\u00ff;;q=x,,", "en", "Send a file once"]
        ] as const
      ) {
        const answer = yield* spoken(asked)
        assertPage(answer, 200, title)
        assert.include(answer.text, `<html lang="${tag}" dir="${tag === "ar" ? "rtl" : "ltr"}"`)
        assert.include(answer.headers.get("vary")!, "accept-language")
      }
    }))

  it.effect("write sizes and sentences as the language does", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ anonymousPlan: "free" })
      const { key } = yield* uploaded(url, new Uint8Array(1_500_000))
      for (
        const [language, size, sentence] of [
          ["en", "1.5 MB", "as a download. The file"],
          ["de", "1,5 MB", "als Download. Die Datei"],
          ["es", "1,5 MB", "como descarga. El archivo"],
          ["zh", "1.5 MB", "下载次数。文件全部"],
          ["ar", "1.5 ميغابايت", "تنزيلًا. يُعدّ"]
        ] as const
      ) {
        const { text } = yield* call(`${url}/download/${key}`, { headers: { ...browser, "accept-language": language } })
        assert.include(text.replaceAll("\u00a0", " "), `id="size">${size}<`, language)
        assert.include(text, sentence)
      }
    }))

  it.effect("say for how long a broken download may go on, with the plural of the language", () =>
    Effect.gen(function*() {
      const { url } = yield* start({ grace: "5 minutes" })
      const { key } = yield* uploaded(url, "x", { headers: anna })
      for (
        const [language, time] of [["en", "within 5 minutes"], ["de", "von 5 Minuten"], [
          "ar",
          /خلال [5٥] دقائق/
        ]] as const
      ) {
        const { text } = yield* call(`${url}/download/${key}`, { headers: { ...browser, "accept-language": language } })
        assert.match(text, new RegExp(time))
        assert.notInclude(text, "{grace}")
      }
    }))

  it("have all words in every language, with the same places for values", () => {
    const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).toSorted()
    const compare = (english: object, other: object, language: string) => {
      for (const [name, text] of Object.entries(english)) {
        const translated: unknown = Reflect.get(other, name)
        if (typeof text === "object") compare(text, translated as object, language)
        else assert.deepStrictEqual(places(String(translated)), places(text), `${language}: ${name}`)
      }
    }
    for (const [language, words] of Object.entries({ ar, de, es, zh })) compare(en, words, language)
  })

  it.effect("offer what the plan allows, and nothing else", () =>
    Effect.gen(function*() {
      const free = (yield* page((yield* start({ anonymousPlan: "free" })).url)).text
      assert.notInclude(offered(free), "name=\"maxDownloads\"")
      assert.notInclude(offered(free), ">Never<")
      assert.include(free, "The file can be downloaded once, and is gone then.")
      const premium = (yield* page((yield* start({ anonymousPlan: "premium" })).url)).text
      assert.include(premium, ">Never<")
      assert.include(premium, ">No limit<")
    }))
})
