/** A client of the fault lab: it uploads, downloads, resumes, replaces and deletes over plain HTTP, and records the results. */
import * as Http from "node:http"
import { type Broken, contentOf, type Entry, type Ledger, type Random, type Version } from "./ledger.ts"

/** No call may take longer, whatever is silent: far more than all time limits of the server together. */
const CALL_LIMIT = 120_000
/** Milliseconds that a client waits where nobody listens. */
const AWAY_PAUSE = 250
const BOUNDARY = "lab"

interface Answer {
  /** 0: no response. */
  readonly status: number
  readonly body: Buffer
  readonly etag: string | undefined
  /** Whether the whole response arrived. */
  readonly complete: boolean
}

export const call = (
  url: string,
  ledger: Ledger,
  options: {
    readonly method?: string
    readonly headers?: Record<string, string>
    readonly body?: Buffer
    /** Aborts after this many bytes of the response. */
    readonly leaveAfter?: number
  } = {}
): Promise<Answer> =>
  new Promise((resolve) => {
    const chunks: Array<Buffer> = []
    let received = 0
    let response: Http.IncomingMessage | undefined
    const end = () => {
      clearTimeout(timer)
      request.destroy()
      resolve({
        status: response?.statusCode ?? 0,
        body: Buffer.concat(chunks),
        etag: response?.headers.etag,
        complete: response?.complete === true
      })
    }
    const timer = setTimeout(() => {
      ledger.violated("call without end", `${options.method ?? "GET"} had no end for ${CALL_LIMIT} ms`)
      end()
    }, CALL_LIMIT)
    const { body, headers = {}, leaveAfter = Infinity, method = "GET" } = options
    const request = Http.request(url, {
      method,
      agent: false,
      headers: { ...headers, ...(body === undefined ? {} : { "content-length": String(body.length) }) }
    }, (answer) => {
      response = answer
      answer.on("data", (chunk: Buffer) => {
        chunks.push(chunk)
        received += chunk.length
        if (received >= leaveAfter) end()
      })
      answer.on("error", end)
      answer.on("close", end)
    })
    request.on("error", (error) => {
      // No server is there at the moment.
      if ("code" in error && error.code === "ECONNREFUSED") setTimeout(end, AWAY_PAUSE)
      else end()
    })
    request.end(body)
  })

const form = (name: string, allowed: number, content: Buffer): Buffer =>
  Buffer.concat([
    Buffer.from(
      `--${BOUNDARY}\r\ncontent-disposition: form-data; name="maxDownloads"\r\n\r\n${allowed}\r\n` +
        `--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="${name}"\r\n\r\n`
    ),
    content,
    Buffer.from(`\r\n--${BOUNDARY}--\r\n`)
  ])

interface Lab {
  readonly ledger: Ledger
  readonly random: Random
  /** A server, which may be down. */
  readonly server: () => string
  /** Those of each account. */
  readonly accounts: ReadonlyArray<Record<string, string>>
  readonly newName: () => string
}

const SIZES = [1, 1000, 60_000, 1_500_000, 6_000_000]
/** One in fifty is large enough for several parts in a store. */
const sizeFrom = (random: Random): number => random.below(50) === 0 ? 17_000_000 : random.pick(SIZES)

const send = (lab: Lab, method: string, path: string, entry: Entry, { number, size }: Version) =>
  call(`${lab.server()}${path}`, lab.ledger, {
    method,
    headers: { ...entry.headers, "content-type": `multipart/form-data; boundary=${BOUNDARY}` },
    body: form(entry.name, entry.allowed, contentOf(entry.name, number, size))
  })

/** Files without an account go to any shard, and only their token changes them. */
const WITHOUT_ACCOUNT: Record<string, string> = {}

const upload = async (lab: Lab): Promise<void> => {
  const { accounts, ledger, newName, random } = lab
  const entry = ledger.add(
    newName(),
    random.pick([1, 1, 1, 3]),
    sizeFrom(random),
    random.pick([...accounts, WITHOUT_ACCOUNT])
  )
  const { body, complete, status } = await send(lab, "POST", "/", entry, entry.versions[0]!)
  if (status === 200 && complete) {
    const { deleteToken, key } = JSON.parse(body.toString()) as { readonly key: string; readonly deleteToken: string }
    entry.key = key
    entry.deleteToken = deleteToken
    entry.stored = "yes"
  } else if (status === 503 && complete) {
    entry.stored = "no"
  }
  ledger.count(`upload ${status === 200 && !complete ? "broken" : status}`)
}

const replace = async (lab: Lab, entry: Entry): Promise<void> => {
  const { ledger, random } = lab
  const before = entry.current
  const broken = [...entry.broken]
  const version = entry.newVersion(sizeFrom(random))
  entry.current = [...before, version]
  const { complete, status } = await send(lab, random.pick(["PUT", "PATCH"]), `/${entry.key!}`, entry, version)
  if (status === 200 && complete) {
    entry.current = [version]
    // Downloads of the new content start over.
    for (const one of broken) entry.broken.delete(one)
  } else if (complete && (status === 503 || status === 404)) {
    entry.current = before
    version.refused = true
    if (status === 404 && !entry.mayBeGone()) {
      ledger.violated("acknowledged and lost", "it is a 404 when its content is replaced", entry)
    }
  }
  ledger.count(`replace ${status === 200 && !complete ? "broken" : status}`)
}

export const download = async (
  { ledger, server }: Pick<Lab, "ledger" | "server">,
  entry: Entry,
  leaveAfter = Infinity
): Promise<number> => {
  const since = entry.oldest()
  const { deletion } = entry
  const { body, complete, etag, status } = await call(`${server()}/${entry.key!}`, ledger, { leaveAfter })
  if (deletion === "done" && status === 200) ledger.violated("wrong answer", "it is given after its deletion", entry)
  if (status === 200 && complete) ledger.received(entry, body, since)
  // Without a response, the claim may have been made, and a response begun of which nothing arrived.
  else if (status === 200 || status === 0) entry.broken.add({ etag, received: body, since })
  else if (status !== 404 && status !== 423 && status !== 503) {
    ledger.violated("wrong answer", `a download is a ${status}: ${String(body)}`, entry)
  }
  ledger.count(`download ${status === 200 && !complete ? "broken" : status}`)
  return status
}

const resumableOf = ({ broken }: Entry) =>
  [...broken].find(({ etag, received }) => etag !== undefined && received.length > 0)

/** The holder of a lease requests the rest of a broken download. */
const resume = async ({ ledger, server }: Lab, entry: Entry, broken: Broken): Promise<void> => {
  const { received } = broken
  const since = entry.oldest()
  const headers = { range: `bytes=${received.length}-`, "if-range": broken.etag! }
  broken.etag = undefined
  const { body, complete, status } = await call(`${server()}/${entry.key!}`, ledger, { headers })
  if (status === 206 && complete) {
    // It is the same download as the broken one.
    entry.broken.delete(broken)
    ledger.received(entry, Buffer.concat([received, body]), broken.since)
  } else if (status === 200 && complete) ledger.received(entry, body, since)
  else if (status === 200 || status === 0) entry.broken.add({ etag: undefined, received: body, since })
  ledger.count(`resume ${(status === 200 || status === 206) && !complete ? "broken" : status}`)
}

/** By the account's key, or by the token of the upload. */
const remove = async ({ ledger, random, server }: Lab, entry: Entry): Promise<void> => {
  entry.deletion = "asked"
  const byToken = { "delete-token": entry.deleteToken! }
  const by = entry.headers === WITHOUT_ACCOUNT ? byToken : random.pick([entry.headers, byToken])
  const { complete, status } = await call(`${server()}/${entry.key!}`, ledger, { method: "DELETE", headers: by })
  if (status === 200 && complete) entry.deletion = "done"
  ledger.count(`delete ${status}`)
}

/** One client at a time changes a file, since the order of two changes would be unknown. */
const alone = async (entry: Entry, run: () => Promise<void>): Promise<void> => {
  if (entry.busy) return
  entry.busy = true
  await run()
  entry.busy = false
}

/** One action of a client. */
export const act = async (lab: Lab): Promise<void> => {
  const { accounts, ledger, random, server } = lab
  const dice = random.below(20)
  if (dice < 7) return upload(lab)
  const known = ledger.entries.slice(-200).filter(({ deletion, key }) => key !== undefined && deletion === "not asked")
  if (known.length === 0) return upload(lab)
  const entry = random.pick(known)
  if (dice === 7) return alone(entry, () => remove(lab, entry))
  if (dice < 11 && entry.headers !== WITHOUT_ACCOUNT) return alone(entry, () => replace(lab, entry))
  if (dice === 11) {
    await call(`${server()}/?limit=20&sort=size&search=lab`, ledger, { headers: random.pick(accounts) })
    return
  }
  const broken = dice < 14 ? known.map((entry) => ({ entry, one: resumableOf(entry) })) : []
  const resumable = broken.filter(({ one }) => one !== undefined)
  if (resumable.length > 0) {
    const { entry, one } = random.pick(resumable)
    return resume(lab, entry, one!)
  }
  if (dice < 16) return void await download(lab, entry, 1 + random.below(entry.current[0]!.size))
  // Three at a time for the same file: no more may get it than are allowed.
  const times = dice < 18 ? 3 : 1
  await Promise.all(Array.from({ length: times }, () => download(lab, entry)))
}
