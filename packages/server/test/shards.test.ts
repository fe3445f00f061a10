/** A catalog in several databases: which has what, how more are added, and what happens when one is away. */
import * as NodeCrypto from "@effect/platform-node/NodeCrypto"
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, Option, Redacted, Result, Scope } from "effect"
import * as Catalog from "../src/Catalog.ts"
import { homeAmong, homesOf, prefixOf, shardOfKey, shardOfUpload } from "../src/internal/shards/homes.ts"
import * as PgCatalog from "../src/PgCatalog.ts"
import { runAll } from "./conformance/runAll.ts"
import { hasPostgres, type Postgres, postgres, psql, s3, S3_CREDENTIALS, skipping } from "./engines.ts"
import { proxy } from "./lab/proxy.ts"
import { claimed, file } from "./leaseRules.ts"
import { anna, assertRefused, BERT, bert, call, eventually, pattern, start, uploaded } from "./support.ts"

Object.assign(process.env, S3_CREDENTIALS)

const names = Array.from({ length: 3000 }, (_, at) => `account-${at}`)

describe("the shard of a name", () => {
  it("is each one as often, and changes only to a new one", () => {
    const homes = names.map((name) => homeAmong(3, name))
    for (const shard of [0, 1, 2]) {
      const part = homes.filter((home) => home === shard).length / names.length
      assert.isTrue(part > 0.28 && part < 0.39, `shard ${shard} has ${part}`)
    }
    const moved = names.filter((name, at) => homeAmong(4, name) !== homes[at])
    assert.isTrue(moved.every((name) => homeAmong(4, name) === 3))
    assert.isTrue(moved.length / names.length > 0.2 && moved.length / names.length < 0.3)
    for (const name of names.slice(0, 100)) {
      assert.sameMembers([...new Set([0, homeAmong(3, name), homeAmong(4, name)])], [...homesOf([1, 3, 4], name)])
    }
    assert.deepStrictEqual(homesOf([1, 3], ""), [0, 1, 2])
  })

  it("is the first letter of keys and uploads, except of the first one, which are as before", () => {
    const [key, upload] = ["abcdefghijkl", "u".repeat(32)]
    for (let shard = 0; shard < 62; shard++) {
      assert.strictEqual(shardOfKey(prefixOf(shard) + key), shard)
      assert.strictEqual(shardOfUpload(prefixOf(shard) + upload), shard)
    }
    for (const old of ["abcde", "ZZZZZZZZ", "Z".repeat(64)]) assert.strictEqual(shardOfKey(old), 0)
  })
})

const engines = Scope.makeUnsafe()
let server: Postgres
beforeAll(async () => {
  if (hasPostgres) server = await Effect.runPromise(Scope.provide(postgres(), engines))
})
afterAll(() => Effect.runPromise(Scope.close(engines, Exit.void)))

const databases = (count: number) => Effect.all(Array.from({ length: count }, () => server.database))

const open = (...url: ReadonlyArray<Redacted.Redacted>) =>
  Effect.flatMap(
    Layer.build(
      PgCatalog.layer({ url, grace: 60_000, timeout: "30 seconds" }).pipe(Layer.provide(NodeCrypto.layerSecureRandom))
    ),
    (context) => Catalog.Catalog.pipe(Effect.provide(context))
  )
const refusal = (...url: ReadonlyArray<Redacted.Redacted>) =>
  Effect.map(Effect.flip(Effect.scoped(open(...url))), ({ message }) => message)

/** An account whose home is that shard. */
const accountOn = (shard: number, size: number, also: (name: string) => boolean = () => true): string =>
  names.find((name) => homeAmong(size, name) === shard && also(name))!

skipping("a catalog in several databases")
describe.skipIf(!hasPostgres)("a catalog in several databases", () => {
  it.live("has the addresses in one order, and all of them, once it has files", () =>
    Effect.gen(function*() {
      const [a, b, c, d] = yield* databases(4)
      yield* Effect.scoped(open(a!, b!, c!))
      yield* Effect.scoped(open(a!, b!, c!))
      assert.include(yield* refusal(a!, c!, b!), "is shard 3; give the addresses in their order")
      assert.include(yield* refusal(a!, b!), "the catalog has 3 shards")
      assert.include(yield* refusal(b!), "the catalog has 3 shards; give the addresses of all of them, in their order")
      assert.include(yield* refusal(a!, d!, c!), "is not shard 2 of the catalog")
      assert.include(yield* refusal(a!, b!, c!, b!), "is shard 2; give the addresses in their order")
      const [e, f] = yield* databases(2)
      yield* Effect.scoped(open(e!, f!))
      assert.include(yield* refusal(a!, b!, c!, f!), "is a shard of another catalog")
      const used = yield* server.database
      yield* Effect.scoped(Effect.flatMap(open(used), ({ insert }) => insert(file())))
      assert.include(
        yield* refusal(a!, b!, c!, used),
        "is a shard of another catalog; a new shard needs a database that no server has used"
      )
      yield* server.execute(used, "DELETE FROM shard")
      assert.include(yield* refusal(a!, b!, c!, used), "has files of another catalog")
      // None of these left anything behind.
      yield* Effect.scoped(open(a!, b!, c!, d!))
      const alias = Redacted.make(Redacted.value(f!).replace("127.0.0.1", "localhost"))
      const fresh = yield* server.database
      const twice = Redacted.make(Redacted.value(fresh).replace("127.0.0.1", "localhost"))
      assert.include(yield* refusal(e!, f!, alias), "is shard 2; give the addresses in their order")
      assert.include(yield* refusal(e!, f!, fresh, twice), "is it in the list of addresses twice?")
    }))

  it.live(
    "is agreed on by servers that start at the same time, and by one after a crash in between",
    () =>
      Effect.gen(function*() {
        const urls = yield* databases(3)
        yield* Effect.all(Array.from({ length: 4 }, () => open(...urls)), { concurrency: "unbounded" })
        const recorded = (url: Redacted.Redacted) =>
          Effect.sync(() => {
            const [id, members] = psql(url, "SELECT id, members FROM shard").split("|")
            return { id: id!, members: members! }
          })
        const sets = yield* Effect.forEach(urls, recorded)
        assert.strictEqual(new Set(sets.map(({ members }) => members)).size, 1)
        assert.strictEqual(new Set(sets.map(({ id }) => id)).size, 3)
        // A start that crashed had recorded it in the last ones only.
        const others = yield* databases(3)
        const members = JSON.stringify({ ids: ["one", "two", "three"], sizes: [3], confirmed: 0 })
        for (const [at, url] of others.entries()) {
          yield* Effect.scoped(open(url))
          yield* server.execute(url, "DELETE FROM shard")
          if (at > 0) {
            yield* server.execute(
              url,
              `INSERT INTO shard (id, members) VALUES ('${["", "two", "three"][at]}', '${members}')`
            )
          }
        }
        yield* open(...others)
        assert.deepStrictEqual(
          (yield* Effect.forEach(others, recorded)).map(({ id, members }) => [id, JSON.parse(members)]),
          ["one", "two", "three"].map((id) => [id, { ids: ["one", "two", "three"], sizes: [3], confirmed: 3 }])
        )
      })
  )

  it.live(
    "takes more of them: files stay where they are, and an account's list and storage are whole",
    () =>
      Effect.gen(function*() {
        const urls = yield* databases(4)
        const stays = accountOn(0, 4)
        const moves = accountOn(3, 4, (name) => homeAmong(3, name) === 1)
        const keys: Record<string, Array<string>> = { [stays]: [], [moves]: [] }
        let bytes = 0
        const insert = (catalog: Catalog.Catalog["Service"]) =>
          Effect.forEach(Object.keys(keys), (owner) =>
            Effect.map(catalog.insert(file({ owner, size: ++bytes })), ({ key }) =>
              void keys[owner]!.push(key)))
        const check = (catalog: Catalog.Catalog["Service"]) =>
          Effect.forEach(Object.keys(keys), (owner) =>
            Effect.gen(function*() {
              const { count, files, size } = yield* catalog.list({
                owner,
                sort: "size",
                descending: false,
                offset: 0,
                limit: 100
              })
              assert.deepStrictEqual(
                files.map(({ key }) =>
                  key
                ),
                keys[owner]
              )
              assert.strictEqual(count, keys[owner]!.length)
              assert.strictEqual(yield* catalog.usedBytes(owner), size)
              for (const key of keys[owner]!) assert.isTrue(Option.isSome(yield* catalog.get(key)))
            }))
        const sizes = [1, 3, 4]
        let last: Catalog.Catalog["Service"] | undefined
        for (const size of sizes) {
          const catalog = yield* open(...urls.slice(0, size))
          if (last !== undefined) yield* check(catalog)
          yield* insert(catalog)
          yield* check(catalog)
          if (last !== undefined) {
            const [key] = keys[moves]!.slice(-1)
            // A server that was not restarted does not know the new ones, and does not say that their files are gone.
            const unknown = yield* Effect.flip(last.get(key!))
            assert.deepStrictEqual([unknown.reason, /catalog has \d shards/.test(unknown.message)], [
              "unavailable",
              true
            ])
            assert.strictEqual((yield* Effect.flip(last.unknown(["x"]))).reason, "unavailable")
          }
          last = catalog
        }
        assert.deepStrictEqual(keys[moves]!.map(shardOfKey), [0, 1, 3])
        assert.deepStrictEqual(keys[stays]!.map(shardOfKey), [0, 0, 0])
        assert.isTrue(Option.isNone(yield* last!.get("9bcdefghijklm")))
      })
  )

  it.live(
    "has every file in its lists, also those that a server with fewer addresses adds meanwhile",
    () =>
      Effect.gen(function*() {
        const [a, b] = yield* databases(2)
        const [moves, stays] = [accountOn(1, 2), accountOn(0, 2)]
        // Its only database is empty when the second one comes.
        const old = yield* open(a!)
        const both = yield* open(a!, b!)
        const list = (catalog: Catalog.Catalog["Service"], owner: string) =>
          Effect.map(
            catalog.list({ owner, sort: "created", descending: false, offset: 0, limit: 9 }),
            ({ files }) => files.map(({ key }) => key)
          )
        const before = yield* old.insert(file({ owner: moves, created: 1 }))
        assert.deepStrictEqual(yield* list(both, moves), [before.key])
        assert.strictEqual(yield* both.usedBytes(moves), before.size)
        const after = yield* both.insert(file({ owner: moves, created: 2 }))
        assert.deepStrictEqual([before.key, after.key].map(shardOfKey), [0, 1])
        assert.deepStrictEqual(yield* list(both, moves), [before.key, after.key])
        // It cannot know the new one, and says so.
        const unknown = yield* Effect.flip(list(old, moves))
        assert.strictEqual(unknown.reason, "unavailable")
        assert.include(unknown.message, "the catalog has 2 shards, and this server 1 addresses")
        const { key } = yield* old.insert(file({ owner: stays }))
        for (const catalog of [old, both]) assert.deepStrictEqual(yield* list(catalog, stays), [key])
        assert.include(yield* refusal(a!), "the catalog has 2 shards")
      })
  )

  it.live("reports which leases were not prolonged, so that no byte counts twice", () =>
    Effect.gen(function*() {
      const urls = (yield* databases(2)).map((url) => new URL(Redacted.value(url)))
      const line = yield* proxy(Number(urls[1]!.port))
      urls[1]!.port = String(line.port)
      const catalog = yield* open(...urls.map(({ href }) => Redacted.make(href)))
      const leases = yield* Effect.forEach([0, 1], (shard) =>
        Effect.gen(function*() {
          const { key } = yield* catalog.insert(file({ owner: accountOn(shard, 2) }))
          return claimed(yield* catalog.claim(key))
        }))
      const progress = leases.map((lease) => ({ lease, sent: 1000 }))
      yield* catalog.prolong(progress)
      line.setMode("refuse")
      line.cut()
      const failed = yield* Effect.flip(catalog.prolong(progress))
      assert.strictEqual(failed.cause.reason, "unavailable")
      assert.deepStrictEqual(failed.transfers, progress.slice(1))
    }))

  it.live(
    "sends files without an account to the shards that respond, and waits for no silent one",
    () =>
      Effect.gen(function*() {
        const direct = yield* databases(3)
        const urls = direct.map((url) => new URL(Redacted.value(url)))
        const lines = yield* Effect.forEach(urls, ({ port }) => proxy(Number(port)))
        const catalog = yield* open(
          ...urls.map((url, at) => Redacted.make(Object.assign(url, { port: String(lines[at]!.port) }).href))
        )
        const upload = (blob: string) =>
          Effect.gen(function*() {
            yield* catalog.usedBytes("")
            const shard = yield* catalog.expect(blob, { owner: "" })
            return yield* catalog.insert(file({ owner: "", blob, shard }))
          })
        const shardsOf = (blobs: ReadonlyArray<string>) =>
          Effect.map(Effect.forEach(blobs, upload), (files) => files.map(({ key }) => shardOfKey(key)))
        assert.sameMembers([...new Set(yield* shardsOf(names.slice(0, 20)))], [0, 1, 2])
        lines[1]!.setMode("silent")
        // The first one finds out, after a second; each of them would wait for that second.
        const began = performance.now()
        const meanwhile = names.slice(20, 80)
        assert.sameMembers([...new Set(yield* shardsOf(meanwhile))], [0, 2])
        assert.isBelow(performance.now() - began, 40_000)
        const prefix = catalog.uploads!.idPrefix!
        assert.notInclude(meanwhile.map((blob) => shardOfUpload(prefix({ owner: "" }, blob) + "u".repeat(32))), 1)
        // Expected there, and stored when the other one is back: they still belong together.
        const late = names[80]!
        const shard = yield* catalog.expect(late, { owner: "" })
        lines[1]!.setMode("pass")
        lines[1]!.cut()
        yield* eventually(
          "the shard gets files again",
          () => Effect.runPromise(Effect.map(upload(crypto.randomUUID()), ({ key }) => shardOfKey(key) === 1))
        )
        yield* catalog.insert(file({ owner: "", blob: late, shard }))
        // A disk that is full can still be read.
        const full = direct[2]!
        yield* server.execute(
          full,
          `CREATE FUNCTION full_disk() RETURNS TRIGGER LANGUAGE plpgsql AS $$
          BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END $$`
        )
        for (const [table, change] of [["garbage", "INSERT"], ["migrations", "UPDATE"]]) {
          yield* server.execute(
            full,
            `CREATE TRIGGER full_disk BEFORE ${change} ON ${table} FOR EACH ROW EXECUTE FUNCTION full_disk()`
          )
        }
        const page = { owner: accountOn(2, 3), sort: "id", descending: false, offset: 0, limit: 1 } as const
        const results = yield* Effect.forEach(names.slice(100, 160), (blob) =>
          Effect.result(Effect.andThen(catalog.list(page), upload(blob))))
        // The first one that meets it finds out.
        assert.isAtMost(results.filter(Result.isFailure).length, 1)
        for (const url of direct) {
          assert.strictEqual(psql(url, "SELECT count(*) FROM garbage"), "0")
        }
      })
  )

  it.live(
    "keeps what belongs to a blob together, and calls none an orphan that any shard knows",
    () =>
      Effect.gen(function*() {
        const catalog = yield* open(...(yield* databases(3)))
        const anonymous = names.slice(0, 30)
        for (const blob of anonymous) {
          yield* catalog.expect(blob, { owner: "" })
          yield* catalog.insert(file({ owner: "", blob }))
        }
        const expected = names.slice(30, 40)
        for (const blob of expected) yield* catalog.expect(blob, { owner: blob })
        const ids = expected.map((blob, at) => catalog.uploads!.idPrefix!({ owner: blob }, blob) + "u".repeat(31) + at)
        for (const [at, id] of ids.entries()) {
          const owner = expected[at]!
          yield* catalog.uploads!.create({ id, owner, request: "", blob: `upload of ${owner}`, length: 1, ends: 1e13 })
          const { generation } = Option.getOrThrow(yield* catalog.uploads!.begin(id))
          yield* catalog.insert(file({ owner, blob: `upload of ${owner}` }), { id, generation, length: 1, ends: 1e13 })
          assert.strictEqual(
            (yield* catalog.list({ owner, sort: "id", descending: false, offset: 0, limit: 9 })).count,
            1
          )
        }
        assert.isAbove(new Set(ids.map(shardOfUpload)).size, 1)
        assert.deepStrictEqual(yield* catalog.unknown([...anonymous, "orphan", ...expected]), ["orphan"])
        assert.deepStrictEqual(yield* catalog.totals, { files: 40, bytes: 40 * 10_000_000 })
        assert.deepStrictEqual(yield* catalog.garbage(""), [])
        assert.strictEqual((yield* catalog.newest(100)).length, 40)
        for (
          const { key } of (yield* catalog.list({ owner: "", sort: "id", descending: false, offset: 0, limit: 50 }))
            .files
        ) {
          assert.isTrue(yield* catalog.remove(key, ""))
        }
        assert.deepStrictEqual(yield* catalog.garbage(""), anonymous.toSorted())
        yield* catalog.forget(anonymous)
        assert.deepStrictEqual(yield* catalog.garbage(""), [])
      })
  )

  it.live(
    "serves the files of the others while one is away, names it, and takes it back",
    () =>
      Effect.gen(function*() {
        const urls = (yield* databases(3)).map((url) => new URL(Redacted.value(url)))
        const lines = yield* Effect.forEach(urls, ({ port }) => proxy(Number(port)))
        const catalog = urls.map((url, at) => Object.assign(url, { port: String(lines[at]!.port) }).href)
        const store = yield* s3
        const options = {
          catalog: catalog.join(", "),
          blobs: `s3://files?endpoint=${store.endpoint}`,
          admin: {},
          engineTimeout: "5 seconds"
        } as const
        const server = yield* start(options)
        const files = yield* Effect.forEach(names.slice(0, 12), () => uploaded(server.url, Buffer.from("content")))
        const shards = new Set(files.map(({ key }) => shardOfKey(key)))
        assert.strictEqual(shards.size, 3)
        // It accepts connections, and says nothing.
        lines[1]!.setMode("silent")
        const slow = yield* Effect.all(files.map(({ key }) => call(`${server.url}/${key}`, { method: "HEAD" })), {
          concurrency: "unbounded"
        })
        assert.deepStrictEqual(
          slow.map(({ status }) => status),
          files.map(({ key }) => shardOfKey(key) === 1 ? 503 : 200)
        )
        lines[1]!.setMode("refuse")
        lines[1]!.cut()

        // On a busy machine the others may be late for it too.
        yield* eventually("the report names it", async () => {
          const response = await fetch(`${server.adminUrl}/healthz`)
          const text = await response.text()
          return response.status === 200 &&
            /"degraded".*"ok":true.*"down":\["shard 2 \(PostgreSQL at [^"]*"\]/.test(text)
        })
        // A server that starts now goes on without it, and finds it when it comes back.
        const later = yield* start(options)
        for (const url of [server.url, later.url]) {
          for (const { key } of files) {
            const answer = yield* call(`${url}/${key}`, { method: "HEAD" })
            assert.strictEqual(answer.status, shardOfKey(key) === 1 ? 503 : 200)
          }
        }
        const [near, away] = [0, 1].map((shard) => files.find(({ key }) => shardOfKey(key) === shard)!)
        assert.strictEqual((yield* call(`${server.url}/${near!.key}`)).text, "content")
        assertRefused(yield* call(`${later.url}/${away!.key}`), 503, "UNAVAILABLE")
        // Uploads go to the others.
        const taken = yield* Effect.forEach(names.slice(0, 20), () => {
          const body = new FormData()
          body.append("file", new Blob(["content"]), "a.txt")
          return call(server.url, { method: "POST", body })
        })
        assert.deepStrictEqual(new Set(taken.map(({ status }) => status)), new Set([200]))

        lines[1]!.setMode("pass")
        for (const { adminUrl, url } of [server, later]) {
          yield* eventually(
            "all shards work",
            async () =>
              (await (await fetch(`${adminUrl}/healthz`)).json() as { catalog: object }).catalog !== undefined &&
              !("down" in (await (await fetch(`${adminUrl}/healthz`)).json() as { catalog: object }).catalog)
          )
          yield* eventually(
            "its files are available",
            async () => (await fetch(`${url}/${away!.key}`, { method: "HEAD" })).ok
          )
        }
        assert.strictEqual((yield* call(`${later.url}/${away!.key}`)).text, "content")
        assertRefused(yield* call(`${server.url}/${away!.key}`), 404, "FILE_NOT_FOUND")
      })
  )

  it.live("keeps the contract, and gives a one-time file once, over two servers", () =>
    Effect.gen(function*() {
      const catalog = (yield* databases(3)).map((url) => Redacted.value(url))
      const store = yield* s3
      const options = {
        catalog,
        blobs: `s3://files?endpoint=${store.endpoint}`,
        plans: { premium: { rateLimit: null, maxUploadBytes: 10_000_000 } },
        maxConnectionsPerAddress: null
      }
      const [one, two] = [yield* start(options), yield* start(options)]
      // The home of this account is the third shard.
      assert.strictEqual(homeAmong(3, "bert"), 2)
      const { failed } = yield* runAll(one.url, BERT)
      assert.deepStrictEqual(failed, [])
      for (const headers of [{}, anna, bert]) {
        for (let times = 0; times < 2; times++) {
          const { key } = yield* uploaded(one.url, pattern(100_000), { headers })
          const answers = yield* Effect.all(
            Array.from({ length: 200 }, (_, at) => call(`${[one, two][at % 2]!.url}/${key}`)),
            { concurrency: "unbounded" }
          )
          assert.strictEqual(answers.filter(({ status }) => status === 200).length, 1)
          assertRefused(yield* call(`${two.url}/${key}`), 404, "FILE_NOT_FOUND")
        }
      }
    }))

  it.live("gives back a lease whose server is gone, and never gives its last byte late", () =>
    Effect.gen(function*() {
      const urls = yield* databases(3)
      const [gone, other] = [yield* open(...urls), yield* open(...urls)]
      for (const blob of names.slice(0, 10)) {
        const { key } = yield* gone.insert(file({ owner: "", blob }))
        const lease = claimed(yield* gone.claim(key))
        assert.strictEqual((yield* other.claim(key))._tag, "InProgress")
        const resumed = Option.getOrThrow(yield* other.resume(key, lease.id))
        assert.strictEqual((yield* Effect.flip(gone.handOver(lease)))._tag, "LeaseEnded")
        yield* other.prolong([{ lease: resumed, sent: 1 }])
        yield* other.handOver(resumed)
        yield* other.commit(resumed)
        assert.strictEqual((yield* gone.claim(key))._tag, "Gone")
      }
    }))
})
