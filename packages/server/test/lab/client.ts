/** A client of the fault lab: it uploads, downloads and deletes over plain HTTP, and records what it saw. */
import * as Http from "node:http"
import { contentOf, type Entry, type Ledger, type Random } from "./ledger.ts"

/** No call may take longer, whatever is silent. */
const CALL_LIMIT = 40_000
const BOUNDARY = "lab"

interface Answer {
  /** 0: no answer came. */
  readonly status: number
  readonly body: Buffer
  /** Whether all of the answer came. */
  readonly complete: boolean
}

export const call = (
  url: string,
  ledger: Ledger,
  options: {
    readonly method?: string
    readonly headers?: Record<string, string>
    readonly body?: Buffer
    /** Gives up after as many bytes of the answer. */
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
        complete: response?.complete === true
      })
    }
    const timer = setTimeout(() => {
      ledger.violated(undefined, `${options.method ?? "GET"} had no end for ${CALL_LIMIT} ms`)
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
    request.on("error", end)
    request.end(body)
  })

const form = (name: string, content: Buffer): Buffer =>
  Buffer.concat([
    Buffer.from(
      `--${BOUNDARY}\r\ncontent-disposition: form-data; name="maxDownloads"\r\n\r\n1\r\n` +
        `--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="${name}"\r\n\r\n`
    ),
    content,
    Buffer.from(`\r\n--${BOUNDARY}--\r\n`)
  ])

export interface Lab {
  readonly ledger: Ledger
  readonly random: Random
  /** A server, which need not be there at the moment. */
  readonly server: () => string
  readonly headers: Record<string, string>
  readonly newName: () => string
}

const SIZES = [1, 1000, 60_000, 1_500_000]

const upload = async ({ headers, ledger, newName, random, server }: Lab): Promise<void> => {
  // One in fifty is sent to a store in several parts.
  const entry = ledger.add(newName(), random.below(50) === 0 ? 17_000_000 : random.pick(SIZES))
  const { body, complete, status } = await call(`${server()}/`, ledger, {
    method: "POST",
    headers: { ...headers, "content-type": `multipart/form-data; boundary=${BOUNDARY}` },
    body: form(entry.name, contentOf(entry.name, entry.size))
  })
  if (status === 200 && complete) {
    entry.key = (JSON.parse(body.toString()) as { readonly key: string }).key
    entry.stored = "yes"
  } else if (status === 503 && complete) {
    entry.stored = "no"
  }
  ledger.count(`upload ${status === 200 && !complete ? "broken" : status}`)
}

export const download = async (lab: Pick<Lab, "ledger" | "server">, entry: Entry, leaveAfter = Infinity) => {
  const { ledger, server } = lab
  const { body, complete, status } = await call(`${server()}/${entry.key!}`, ledger, { leaveAfter })
  if (status === 200) {
    if (complete && body.length === entry.size) ledger.received(entry, body)
    else entry.broken++
  }
  // The claim may have been made, and an answer begun of which nothing came.
  if (status === 0) entry.broken++
  ledger.count(`download ${status === 200 && !complete ? "broken" : status}`)
  return status
}

const remove = async ({ headers, ledger, server }: Lab, entry: Entry): Promise<void> => {
  entry.deleted = true
  const { status } = await call(`${server()}/${entry.key!}`, ledger, { method: "DELETE", headers })
  ledger.count(`delete ${status}`)
}

/** One thing that a client does. */
export const act = async (lab: Lab): Promise<void> => {
  const { ledger, random } = lab
  const dice = random.below(10)
  if (dice < 4) return upload(lab)
  const known = ledger.entries.filter(({ deleted, key, whole }) => key !== undefined && !deleted && whole === 0)
  if (known.length === 0) return upload(lab)
  const entry = random.pick(known)
  if (dice === 4) return remove(lab, entry)
  if (dice === 5) return void await download(lab, entry, 1 + random.below(entry.size))
  // Two at a time for the same file: at most one may have it.
  await Promise.all(dice === 6 ? [download(lab, entry), download(lab, entry)] : [download(lab, entry)])
}
