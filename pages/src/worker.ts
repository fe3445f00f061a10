/**
 * Responds to the download of a file that a page decrypts, so that the browser saves it while it comes. The page sends a port; each
 * message of this worker asks for the next bytes.
 */
interface Saved {
  readonly name: string
  readonly size: number | undefined
  readonly port: MessagePort
}

interface Scope {
  readonly skipWaiting: () => Promise<void>
  readonly clients: { readonly claim: () => Promise<void> }
  readonly addEventListener: (
    type: string,
    listener: (
      event: ExtendableEvent & {
        readonly data: { readonly id: string; readonly name: string; readonly size: number | undefined }
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

const bytesOf = (port: MessagePort): ReadableStream<Uint8Array> => {
  let next: PromiseWithResolvers<void> | undefined
  return new ReadableStream({
    start: (controller) => {
      port.addEventListener("message", ({ data }: MessageEvent<Uint8Array | "end" | "failed" | "alive">) => {
        if (data === "alive") return
        if (data === "end") controller.close()
        else if (data === "failed") controller.error(new Error("the download broke"))
        else controller.enqueue(data)
        next?.resolve()
      })
      port.start()
    },
    pull: () => {
      next = Promise.withResolvers()
      port.postMessage("pull")
      return next.promise
    },
    cancel: () => port.postMessage("cancel")
  })
}

scope.addEventListener("install", (event) => event.waitUntil(scope.skipWaiting()))
scope.addEventListener("activate", (event) => event.waitUntil(scope.clients.claim()))
scope.addEventListener("message", ({ data: { id, name, size }, ports: [port] }) => {
  if (port === undefined) return
  waiting.set(id, { name, size, port })
  port.postMessage("ready")
})
scope.addEventListener("fetch", (event) => {
  const id = /\/save\/([\w-]+)$/.exec(new URL(event.request.url).pathname)?.[1]
  if (id === undefined) return
  const saved = waiting.get(id)
  waiting.delete(id)
  if (saved === undefined) return event.respondWith(new Response("gone", { status: 404 }))
  const { name, port, size } = saved
  event.respondWith(
    new Response(bytesOf(port), {
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
