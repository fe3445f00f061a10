/** Saves a file that the page makes: while it comes, through the worker, or all at once. */
import { make } from "./dom.ts"

/** Up to this size a file is saved when all of it is here and authentic; a larger one while it comes. */
export const WHOLE_BYTES = 64_000_000
/** Where there is no worker, all of a file must be in memory. */
const WHOLE_BYTES_WITHOUT_WORKER = 1_000_000_000

/** Browsers have workers only where the connection is safe, and some have none in private windows. */
const canStream = (): boolean => isSecureContext && "serviceWorker" in navigator && "locks" in navigator

/** Whether a browser without a worker has room for the encrypted bytes and the file; one that does not say may try. */
export const hasRoom = async (bytes: number): Promise<boolean> => {
  if (bytes > WHOLE_BYTES_WITHOUT_WORKER) return false
  try {
    const { quota, usage = 0 } = await navigator.storage.estimate()
    return quota === undefined || quota - usage >= 2 * bytes
  } catch {
    return true
  }
}

/** The browser does not save any more: its user cancelled that, or the disk is full. */
export class NotSaved extends Error {}

/** Saves bytes under a name. */
export const saveWhole = (parts: Array<BlobPart>, name: string): void => {
  // Without a type, Chromium guesses one, and appends its ending to a name that has none.
  const url = URL.createObjectURL(new Blob(parts, { type: "application/octet-stream" }))
  make("a", { href: url, download: name }).click()
  // The browser has opened it by then.
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}

/** A file that is saved while it comes. */
export interface Sink {
  /** Waits until the browser has room for more. */
  readonly write: (bytes: Uint8Array) => Promise<void>
  /** Waits until the browser has taken the last bytes. */
  readonly close: () => Promise<void>
  /** The browser discards what it has. */
  readonly fail: () => void
}

/** Pages with Trusted Types name the script of a worker through a policy, which a page can make once. */
const makeScriptUrl = (url: string): string => {
  const { trustedTypes } = globalThis as {
    readonly trustedTypes?: {
      readonly createPolicy: (
        name: string,
        rules: { readonly createScriptURL: (url: string) => string }
      ) => { readonly createScriptURL: (url: string) => string }
    }
  }
  const rules = {
    createScriptURL: (given: string) => {
      if (given !== url) throw new TypeError("only the worker of this page")
      return given
    }
  }
  return (trustedTypes?.createPolicy("fileio", rules) ?? rules).createScriptURL(url)
}

/** How long the page waits for the worker. */
const WORKER_MILLIS = 20_000

/** A worker that never comes must not hold the page. */
const soon = <A>(promise: Promise<A>): Promise<A | undefined> =>
  Promise.race([promise, new Promise<undefined>((resolve) => setTimeout(resolve, WORKER_MILLIS))])

/** Sends the worker a message; gives its port when the worker has responded. */
const portTo = (worker: ServiceWorker, message: unknown): Promise<MessagePort | undefined> =>
  soon(
    new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel()
      port1.addEventListener("message", () => resolve(port1), { once: true })
      port1.start()
      worker.postMessage(message, [port2])
    })
  )

let scriptUrl: string | undefined
let registration: Promise<ServiceWorker> | undefined

const activeWorker = async (url: string): Promise<ServiceWorker> => {
  scriptUrl ??= makeScriptUrl(url)
  const { active, installing, waiting } = await navigator.serviceWorker.register(scriptUrl)
  const worker = installing ?? waiting ?? active
  if (worker === null) throw new Error("the browser started no worker")
  if (worker.state === "activated") return worker
  return new Promise((resolve, reject) => {
    worker.addEventListener("statechange", () => {
      if (worker.state === "activated") resolve(worker)
      if (worker.state === "redundant") reject(new Error("the browser stopped the worker"))
    })
  })
}

/**
 * Prepares the worker, before the only copy of a file is taken; `undefined`: this browser has none.
 */
export const prepare = async (workerUrl: string): Promise<ServiceWorker | undefined> => {
  if (!canStream()) return undefined
  try {
    const worker = await soon(registration ??= activeWorker(workerUrl))
    return worker !== undefined && await portTo(worker, "alive") !== undefined ? worker : undefined
  } catch (error) {
    registration = undefined
    // Its settings forbid it; any other error may be one of the network.
    if (error instanceof DOMException) return undefined
    throw error
  }
}

/** Begins a download of the browser that this page fills. */
export const openSink = async (worker: ServiceWorker, name: string, size: number | undefined): Promise<Sink> => {
  const id = crypto.randomUUID()
  const port = await portTo(worker, { id, name, size })
  if (port === undefined) throw new NotSaved()
  let isCancelled = false
  let wake: (() => void) | undefined
  let pulled = 0
  port.addEventListener("message", () => {
    pulled++
    wake?.()
  })
  // The worker releases it when the browser saves no more, or when it is stopped itself.
  void navigator.locks.request(id, () => {
    isCancelled = true
    wake?.()
  })
  const frame = make("iframe", { src: new URL(`save/${id}`, worker.scriptURL).href, hidden: "" })
  document.body.append(frame)
  // A browser ends a worker that gets no message for half a minute. In the background a tab's timers are rare, but bytes come.
  let pinged = 0
  const keepAlive = () => {
    if (performance.now() - pinged < 10_000) return
    pinged = performance.now()
    worker.postMessage("alive")
  }
  const alive = setInterval(keepAlive, 10_000)
  const end = (how: "end" | "failed") => {
    clearInterval(alive)
    port.postMessage(how)
  }
  const room = async () => {
    while (pulled === 0 && !isCancelled) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    if (isCancelled) throw new NotSaved()
  }
  return {
    write: async (bytes) => {
      keepAlive()
      await room()
      pulled--
      port.postMessage(bytes)
    },
    close: async () => {
      await room()
      end("end")
    },
    fail: () => end("failed")
  }
}
