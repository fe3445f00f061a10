import { FileDetails } from "@effect-fileio/core/FileDetails"
import type { FileKey } from "@effect-fileio/core/FileKey"
import { FileList } from "@effect-fileio/core/FileList"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { type GetPage, makeAll } from "../src/internal/calls/list.ts"

const named = (name: string) => new FileDetails({ key: name as FileKey, link: `https://file.example/${name}` })

interface Host {
  /** `all`: `count` is of all pages; `page`: of this page, as old hosts have it. */
  readonly count: "all" | "page"
  /** The largest page of the host. */
  readonly most: number
  readonly ignoresOffset?: boolean
  /** Whether it says what the next page continues behind. */
  readonly hasNext?: boolean
}

/** Newer files come first: those that are added later are before the numbered ones. */
const rankOf = (name: string): number =>
  name.startsWith("new") ? -1 - Number(name.split("x").at(-1)) : Number(name.slice(4))

/** A host whose files can change between two pages. */
const makeHost = ({ count, hasNext, ignoresOffset, most }: Host, names: ReadonlyArray<string>) => {
  const files = [...names]
  let pages = 0
  const getPage: GetPage = ({ after, limit = 100, offset = 0 }) =>
    Effect.sync(() => {
      pages++
      const from = ignoresOffset === true
        ? 0
        : after === undefined
        ? offset
        : files.filter((name) => rankOf(name) <= rankOf(after)).length
      const page = files.slice(from, from + Math.min(limit, most))
      const next = hasNext === true && page.length === Math.min(limit, most) ? { next: page.at(-1)! } : {}
      return {
        list: new FileList({ files: page.map(named), count: count === "all" ? files.length : page.length, ...next }),
        hostTime: undefined
      }
    })
  return { files, getPage, pages: () => pages }
}

const numbered = (length: number) => Array.from({ length }, (_, i) => `file${String(i).padStart(5, "0")}`)

const randomOf = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    return Math.floor((state >>> 0) / 2 ** 32 * below)
  }
}

const HOSTS: ReadonlyArray<Host> = [
  { count: "all", most: 1000 },
  { count: "page", most: 1000 },
  { count: "all", most: 30 },
  { count: "all", most: 1000, hasNext: true },
  { count: "page", most: 30, hasNext: true }
]

describe("listAll", () => {
  it.effect.each(HOSTS.flatMap((host) => [1, 7, 100, 260, 1000].map((pageSize) => ({ ...host, pageSize }))))(
    "returns all files even if each is deleted at once: %o",
    ({ pageSize, ...options }) =>
      Effect.gen(function*() {
        const names = numbered(260)
        const host = makeHost(options, names)
        const given = yield* makeAll(host.getPage)({ pageSize }).pipe(
          Stream.tap(({ key }) => Effect.sync(() => host.files.splice(host.files.indexOf(key), 1))),
          Stream.runCollect
        )
        assert.deepStrictEqual(given.map(({ key }) => String(key)), names)
        assert.deepStrictEqual(host.files, [])
      })
  )

  it.effect("goes back at once by what the count has lost, and costs nothing where no file goes", () =>
    Effect.gen(function*() {
      const still = makeHost(HOSTS[0]!, numbered(1000))
      yield* Stream.runDrain(makeAll(still.getPage)())
      assert.strictEqual(still.pages(), 10 + 1)
      const deleted = makeHost(HOSTS[0]!, numbered(1000))
      yield* makeAll(deleted.getPage)().pipe(
        Stream.runForEach(({ key }) => Effect.sync(() => deleted.files.splice(deleted.files.indexOf(key), 1)))
      )
      assert.isAtMost(deleted.pages(), 2 * 10 + 1)
      const continued = makeHost({ count: "all", most: 1000, hasNext: true }, numbered(1000))
      const given = yield* makeAll(continued.getPage)().pipe(
        Stream.tap(({ key }) => Effect.sync(() => continued.files.splice(continued.files.indexOf(key), 1))),
        Stream.runCollect
      )
      assert.deepStrictEqual(given.map(({ key }) => String(key)), numbered(1000))
      assert.strictEqual(continued.pages(), 10 + 1)
    }))

  it.effect("ends at a host that always says that there is more", () =>
    Effect.gen(function*() {
      const host = makeHost({ count: "all", most: 50, hasNext: true, ignoresOffset: true }, numbered(200))
      const given = yield* Stream.runCollect(makeAll(host.getPage)({ pageSize: 50 }))
      assert.deepStrictEqual(given.map(({ key }) => String(key)), numbered(50))
    }))

  it.effect("ends at a host that ignores the offset", () =>
    Effect.gen(function*() {
      const host = makeHost({ count: "all", most: 1000, ignoresOffset: true }, numbered(200))
      const given = yield* Stream.runCollect(makeAll(host.getPage)({ pageSize: 50 }))
      assert.deepStrictEqual(given.map(({ key }) => String(key)), numbered(51))
    }))

  it.effect("gives what is there all the time once, whatever comes and goes between its pages", () =>
    Effect.gen(function*() {
      for (let seed = 1; seed <= 1000; seed++) {
        const random = randomOf(seed)
        const names = numbered(random(100))
        const host = makeHost(HOSTS[random(HOSTS.length)]!, names)
        const offset = random(2) * random(6)
        const gone = new Set<string>()
        let come = 0
        const given = yield* makeAll(host.getPage)({ pageSize: 1 + random(50), offset }).pipe(
          Stream.tap(() =>
            Effect.sync(() => {
              for (let goes = random(5); goes > 0 && host.files.length > offset; goes--) {
                // Files before the offset that was asked for are not looked at, so they stay.
                const [name] = host.files.splice(offset + random(host.files.length - offset), 1)
                gone.add(name!)
              }
              if (offset === 0 && random(2) === 0) {
                host.files.unshift(`new${host.pages()}x${host.files.length}x${come++}`)
              }
            })
          ),
          Stream.runCollect
        )
        const keys = given.map(({ key }) => String(key))
        assert.strictEqual(new Set(keys).size, keys.length, `none twice, seed ${seed}`)
        const stayed = names.slice(offset).filter((name) => !gone.has(name))
        assert.deepStrictEqual(keys.filter((name) => stayed.includes(name)), stayed, `seed ${seed}`)
      }
    }))
})
