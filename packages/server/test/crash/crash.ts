/**
 * Kills servers under load, starts them again in the same folders, and records what every client saw:
 *
 * - an acknowledged upload is there, complete, until it was given;
 * - a download that arrived completely is never given again, and counts once;
 * - a cut download can be resumed by its receiver, with the lease of its first response;
 * - a download that was cut before its receiver had the lease is available again after the grace time;
 * - a file that was deleted with its token stays deleted, and its sender learns that.
 *
 * A process holds several servers, each in its own folder, so that one kill is a crash of all of them.
 */
import assert from "node:assert/strict"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Http from "node:http"
import * as Os from "node:os"
import * as Path from "node:path"
import * as ReadLine from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { ANNA } from "../support.ts"

export interface Options {
  readonly kills: number
  /** Servers in a process. */
  readonly servers: number
  /** Repeats a run. */
  readonly seed?: number | undefined
  /** After this many milliseconds no further round starts, if there were enough. */
  readonly within?: number | undefined
  readonly onRound?: ((round: number) => void) | undefined
}

export interface Summary {
  readonly crashes: number
  readonly acknowledged: number
  readonly unacknowledged: number
  readonly whole: number
  readonly cut: number
  readonly resumed: number
  readonly freed: number
  readonly withdrawn: number
}

const CHILD = fileURLToPath(new URL("child.ts", import.meta.url))
const SIZES = [1, 2, 100, 5000, 70_000, 1_100_000, 2_500_000, 8_000_000]
/** From here on, a receiver may be slow enough to be in the middle when the server is killed. */
const LONG = 1_000_000
const GRACE = 4000
/** Fewer rounds prove nothing. */
const LEAST_ROUNDS = 2

interface Stored {
  readonly server: number
  readonly key: string
  readonly name: string
  readonly most: number
  /** How often it arrived completely. */
  whole: number
  /** Broken downloads; `lease` is absent without a response. */
  cut: Array<{ lease: string | undefined; received: Buffer }>
  /** Running downloads. */
  active: number
  /** How many of them started during another one. */
  overlaps: number
}

/** A file that its sender deletes at once, with the token of the upload. */
interface Withdrawn {
  readonly server: number
  readonly key: string
  readonly token: string
  /** Whether a server has acknowledged the deletion. */
  isGone: boolean
}

const POOL = Buffer.alloc(9_000_000)
for (let i = 0, state = 1; i < POOL.length; i++) {
  state = (Math.imul(state, 1664525) + 1013904223) | 0
  POOL[i] = state >>> 24
}

/** The bytes of a file follow from its name, so that a file of an unacknowledged upload can be checked too. */
const contentOf = (name: string): Buffer => {
  const [seed, size] = name.split("-").map(Number)
  const from = seed! * 7919 % 1_000_000
  return POOL.subarray(from, from + size!)
}

interface Got {
  /** 0: no response. */
  readonly status: number
  readonly headers: Http.IncomingHttpHeaders
  readonly body: Buffer
}

const request = (
  url: string,
  agent: Http.Agent,
  options: {
    readonly method?: string
    readonly headers?: Record<string, string>
    readonly body?: Buffer
    /** Resolves when a stopped receiver continues. */
    readonly stopUntil?: Promise<void> | undefined
  } = {}
): Promise<Got> =>
  new Promise((resolve) => {
    const chunks: Array<Buffer> = []
    let response: Http.IncomingMessage | undefined
    const end = () =>
      resolve({ status: response?.statusCode ?? 0, headers: response?.headers ?? {}, body: Buffer.concat(chunks) })
    const outgoing = Http.request(url, { agent, method: options.method ?? "GET", headers: options.headers ?? {} })
    outgoing.on("response", (incoming) => {
      response = incoming
      incoming.on("data", (chunk: Buffer) => {
        chunks.push(chunk)
        if (options.stopUntil === undefined || chunks.length > 1) return
        incoming.pause()
        void options.stopUntil.then(() => incoming.resume())
      })
      incoming.on("error", end)
      incoming.on("close", end)
    })
    outgoing.on("error", end)
    outgoing.end(options.body)
  })

/** Runs it for each item, several at a time. */
const forEach = async <A>(items: Iterable<A>, f: (item: A) => Promise<void>): Promise<void> => {
  const iterator = items[Symbol.iterator]()
  const worker = async () => {
    for (let next = iterator.next(); next.done !== true; next = iterator.next()) await f(next.value)
  }
  await Promise.all(Array.from({ length: 24 }, worker))
}

const key = { authorization: `Bearer ${ANNA}` }

const multipart = (name: string, fields: Record<string, string>) => {
  const text = Object.entries(fields).map(([field, value]) =>
    `--b0undary\r\nContent-Disposition: form-data; name="${field}"\r\n\r\n${value}\r\n`
  ).join("")
  return Buffer.concat([
    Buffer.from(`${text}--b0undary\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\n`),
    contentOf(name),
    Buffer.from("\r\n--b0undary--\r\n")
  ])
}

interface Process {
  readonly child: ChildProcess
  readonly lines: AsyncIterator<string>
}

const prepare = (): Process => {
  const child = spawn(process.execPath, [CHILD], { stdio: ["pipe", "pipe", "inherit"] })
  return { child, lines: ReadLine.createInterface({ input: child.stdout! })[Symbol.asyncIterator]() }
}

const kill = ({ child }: Process) =>
  new Promise<void>((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once("exit", () => resolve())
    child.kill("SIGKILL")
  })

export const run = async ({ kills, onRound, seed = 1, servers, within = Infinity }: Options): Promise<Summary> => {
  let state = seed
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return Math.floor(state / 0x80000000 * below)
  }

  const root = Fs.mkdtempSync(Path.join(Os.tmpdir(), "fileio-server-crash-"))
  const folders = Array.from({ length: servers }, (_, i) => Path.join(root, String(i)))
  const files: Array<Stored> = []
  const withdrawn: Array<Withdrawn> = []
  const counts = { acknowledged: 0, unacknowledged: 0, whole: 0, cut: 0, resumed: 0, freed: 0 }
  let made = 0
  let urls: ReadonlyArray<string> = []
  let agent = new Http.Agent({ keepAlive: true })
  let running: Process | undefined
  let next: Process | undefined = prepare()

  const at = (file: Stored) => `${urls[file.server]!}/${file.key}`

  const start = async () => {
    running = next!
    next = undefined
    running.child.stdin!.write(`${JSON.stringify({ folders, grace: GRACE })}\n`)
    const { done, value } = await running.lines.next()
    assert.ok(done !== true, "the servers did not start again")
    urls = JSON.parse(value) as Array<string>
    agent = new Http.Agent({ keepAlive: true })
    next = prepare()
  }

  /** Uploads a file; returns its details if the upload is acknowledged. */
  const send = async (server: number) => {
    const name = `${++made}-${SIZES[random(SIZES.length)]!}`
    const most = random(3) === 0 ? 3 : 1
    const answer = await request(`${urls[server]!}/`, agent, {
      method: "POST",
      headers: { ...key, "content-type": "multipart/form-data; boundary=b0undary" },
      body: multipart(name, { maxDownloads: String(most), autoDelete: String(random(2) === 0) })
    })
    let details: { readonly key?: string; readonly deleteToken?: string } = {}
    try {
      details = JSON.parse(String(answer.body)) as typeof details
    } catch {
      // It was cut, or never arrived.
    }
    if (details.key === undefined) {
      assert.ok(answer.status === 0 || answer.status === 200, `an upload was refused: ${answer.body}`)
      counts.unacknowledged++
      return undefined
    }
    counts.acknowledged++
    return { server, key: details.key, token: details.deleteToken!, name, most }
  }

  const upload = async (server: number) => {
    const stored = await send(server)
    if (stored !== undefined) files.push({ ...stored, whole: 0, cut: [], active: 0, overlaps: 0 })
  }

  const remove = async (file: Withdrawn) => {
    const url = `${urls[file.server]!}/${file.key}`
    const { body, status } = await request(url, agent, { method: "DELETE", headers: { "delete-token": file.token } })
    if (status === 0) return
    // An earlier deletion, whose response was cut, may have succeeded.
    assert.ok(status === 200 || status === 404, `a deletion got ${status}: ${body}`)
    file.isGone = true
  }

  const withdraw = async (server: number) => {
    const stored = await send(server)
    if (stored === undefined) return
    const file = { server, key: stored.key, token: stored.token, isGone: false }
    withdrawn.push(file)
    await remove(file)
  }

  /** Records a download, complete or cut. */
  const received = (file: Stored, { body, headers, status }: Got, before: Buffer, lease: string | undefined) => {
    const content = contentOf(file.name)
    const all = Buffer.concat([before, body])
    assert.ok(content.subarray(0, all.length).equals(all), `${file.name}: torn`)
    if (status !== 0 && all.length === content.length) {
      file.whole++
      counts.whole++
      assert.ok(file.whole <= file.most, `${file.name}: given ${file.whole} times of ${file.most}`)
      return true
    }
    counts.cut++
    file.cut.push({ lease: lease ?? headers.etag, received: all })
    return false
  }

  const download = async (file: Stored) => {
    // A download that ran at any moment of this one may be why this one gets nothing.
    file.active++
    if (file.active > 1) file.overlaps++
    const long = contentOf(file.name).length >= LONG && random(2) === 0
    const got = await request(at(file), agent, long ? { stopUntil: killedNow.promise } : {})
    const overlapped = file.active > 1 || file.overlaps > 0
    file.active--
    if (file.active === 0) file.overlaps = 0
    if (got.status === 404 || got.status === 423) {
      // All downloads were given, or are held for a receiver whose download was cut.
      const accounted = file.whole + file.cut.length
      assert.ok(
        overlapped || accounted >= file.most,
        `${file.name}: ${got.status}, given ${file.whole} times of ${file.most}`
      )
      return
    }
    if (got.status !== 0) assert.equal(got.status, 200, String(got.body))
    received(file, got, Buffer.alloc(0), undefined)
  }

  /** The holder of the lease gets the rest, whatever happened in between. */
  const resumeAll = async (file: Stored) => {
    const held = file.cut.filter(({ lease }) => lease !== undefined)
    file.cut = file.cut.filter(({ lease }) => lease === undefined)
    for (const { lease, received: before } of held) {
      const got = await request(at(file), agent, {
        headers: { range: `bytes=${before.length}-`, "if-range": lease! }
      })
      if (got.status !== 0) {
        assert.equal(got.status, 206, `${file.name}: the receiver of ${before.length} bytes got ${got.status}`)
      }
      if (received(file, got, before, lease)) counts.resumed++
    }
  }

  let killedNow = Promise.withResolvers<void>()
  let done = 0
  let enough = { after: Infinity, resolve: () => {} }
  /** Waits for a number of requests, or a while if the machine is busy. */
  const requests = (count: number) =>
    Promise.race([
      new Promise<void>((resolve) => {
        enough = { after: done + count, resolve }
      }),
      sleep(3000)
    ])

  const load = async (until: () => boolean, server: number) => {
    while (!until()) {
      const mine = files.filter((file) => file.server === server && file.active === 0 && file.whole < file.most)
      const file = mine[random(mine.length)]
      if (random(8) === 0) await withdraw(server)
      else if (file === undefined || random(5) < 2) await upload(server)
      // Two at a time, for one download: one of them must not get it.
      else if (random(4) === 0) await Promise.all([download(file), download(file)])
      else await download(file)
      if (++done >= enough.after) enough.resolve()
    }
  }

  const verify = async () => {
    await forEach(withdrawn.slice(-servers * 4), async (file) => {
      if (!file.isGone) await remove(file)
      const url = urls[file.server]!
      assert.equal((await request(`${url}/${file.key}`, agent)).status, 404, `${file.key} was deleted, and is there`)
      const status = await request(`${url}/status/${file.key}`, agent, { headers: { "delete-token": file.token } })
      assert.equal((JSON.parse(String(status.body)) as { readonly state?: string }).state, "deleted")
    })
    await forEach(files.filter((file) => file.cut.length > 0), resumeAll)
    await forEach(files.slice(-servers * 4), async (file) => {
      const head = await request(at(file), agent, { method: "HEAD" })
      if (file.whole + file.cut.length < file.most) assert.equal(head.status, 200, `${file.name} is lost`)
      else if (file.whole === file.most) assert.equal(head.status, 404, `${file.name} is there again`)
    })
  }

  try {
    await start()
    const end = performance.now() + within
    let round = 0
    // A busy machine makes the least number of rounds too, which takes it longer.
    while (round < kills && (round < LEAST_ROUNDS || performance.now() < end)) {
      round++
      let over = false
      const loads = Array.from({ length: servers * 2 }, (_, i) => load(() => over, i % servers))
      // A failure in there is awaited below, after the servers are killed.
      const loaded = Promise.all(loads)
      loaded.catch(() => {})
      await requests(servers * (2 + random(8)))
      // Not only between two requests of one client.
      await sleep(random(10))
      const killed = kill(running!)
      over = true
      await killed
      killedNow.resolve()
      await loaded
      agent.destroy()
      killedNow = Promise.withResolvers()
      await start()
      await verify()
      onRound?.(round)
    }

    killedNow.resolve()
    // A download that was cut before its receiver knew the lease is available after the grace time.
    const freed = files.filter((file) => file.cut.length > 0)
    if (freed.length > 0) await sleep(GRACE + 100)
    for (const file of freed) {
      counts.freed += file.cut.length
      file.cut = []
    }
    await forEach(files, async (file) => {
      while (file.whole < file.most) {
        await download(file)
        assert.equal(file.cut.length, 0, `${file.name}: a download broke without a kill`)
      }
      const gone = await request(at(file), agent)
      assert.equal(gone.status, 404, `${file.name} is given once more`)
    })
    // Files of unacknowledged uploads are complete, and kept files were counted correctly.
    const byKey = new Map(files.map((file) => [file.key, file]))
    for (const [server, url] of urls.entries()) {
      const listed = await request(`${url}/?limit=1000`, agent, { headers: key })
      const { count, nodes } = JSON.parse(String(listed.body)) as {
        count: number
        nodes: Array<{ key: string; name: string; size: number; downloads: number }>
      }
      assert.equal(count, nodes.length)
      for (const node of nodes) {
        const file = byKey.get(node.key)
        if (file !== undefined) {
          assert.equal(node.downloads, file.whole, `${file.name}: counted ${node.downloads} times`)
        } else {
          const { body } = await request(`${url}/${node.key}`, agent)
          assert.ok(body.equals(contentOf(node.name)), `${node.name} of an upload that was cut is torn`)
        }
      }
      const incoming = Fs.readdirSync(Path.join(folders[server]!, "incoming"))
      assert.deepEqual(incoming, [], "a broken upload left bytes")
    }
    return { crashes: round * servers, withdrawn: withdrawn.length, ...counts }
  } finally {
    agent.destroy()
    if (running !== undefined) await kill(running)
    if (next !== undefined) await kill(next)
    Fs.rmSync(root, { recursive: true, force: true })
  }
}
