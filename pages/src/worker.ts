/**
 * Responds to the download of a file that a page decrypts, so that the browser saves it while it comes. The page sends a port;
 * each message of this worker asks for the next bytes. The worker holds a lock until the save ends: the page gets it when the
 * browser has stopped saving, and also when the browser has stopped this worker, which then can send no message.
 */
interface Saved {
  readonly name: string
  readonly size: number | undefined
  readonly port: MessagePort
  /** Releases the lock. */
  readonly release: () => void
}

interface Scope {
  readonly skipWaiting: () => Promise<void>
  readonly clients: { readonly claim: () => Promise<void> }
  readonly addEventListener: (
    type: string,
    listener: (
      event: ExtendableEvent & {
        readonly data: "alive" | { readonly id: string; readonly name: string; readonly size: number | undefined }
        readonly ports: ReadonlyArray<MessagePort>
        readonly request: Request
        readonly respondWith: (response: Response) => void
      }
    ) => void
  ) => void
}

interface ExtendableEvent {
  readonly waitUntil: (promise: Promise<unknown>) => void
}

const scope = globalThis as unknown as Scope
const waiting = new Map<string, Saved>()
/** How long a message of the page keeps this worker: longer than the minute between two timers of a tab in the background. */
const ALIVE_MILLIS = 90_000

const bytesOf = ({ port, release }: Saved): ReadableStream<Uint8Array> => {
  let next: PromiseWithResolvers<void> | undefined
  return new ReadableStream({
    start: (controller) => {
      port.addEventListener("message", ({ data }: MessageEvent<Uint8Array | "end" | "failed">) => {
        if (data === "end") controller.close()
        else if (data === "failed") controller.error(new Error("the download broke"))
        else controller.enqueue(data)
        if (typeof data === "string") release()
        next?.resolve()
      })
      port.start()
    },
    pull: () => {
      next = Promise.withResolvers()
      port.postMessage("pull")
      return next.promise
    },
    cancel: release
  })
}

scope.addEventListener("install", (event) => event.waitUntil(scope.skipWaiting()))
scope.addEventListener("activate", (event) => event.waitUntil(scope.clients.claim()))
scope.addEventListener("message", (event) => {
  const { data, ports: [port] } = event
  if (data === "alive") {
    port?.postMessage("alive")
    return event.waitUntil(new Promise((resolve) => setTimeout(resolve, ALIVE_MILLIS)))
  }
  if (port === undefined) return
  const { id, name, size } = data
  event.waitUntil(navigator.locks.request(id, () =>
    new Promise<void>((release) => {
      waiting.set(id, { name, size, port, release })
      port.postMessage("ready")
    })))
})
scope.addEventListener("fetch", (event) => {
  const id = /\/save\/([\w-]+)$/.exec(new URL(event.request.url).pathname)?.[1]
  if (id === undefined) return
  const saved = waiting.get(id)
  waiting.delete(id)
  if (saved === undefined) return event.respondWith(new Response("gone", { status: 404 }))
  const { name, size } = saved
  event.respondWith(
    new Response(bytesOf(saved), {
      headers: {
        "content-type": "application/octet-stream",
        "content-disposition": `attachment; filename*=UTF-8''${
          encodeURIComponent(name).replace(/['()*]/g, (character) => `%${character.charCodeAt(0).toString(16)}`)
        }`,
        "content-security-policy": "default-src 'none'",
        "x-content-type-options": "nosniff",
        ...(size === undefined ? {} : { "content-length": String(size) })
      }
    })
  )
})
