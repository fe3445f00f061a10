/** llhttp, Node's parser, in strict mode: the WebAssembly of undici. */
import { createRequire } from "node:module"
import { fileURLToPath } from "node:url"

/** A parser's result for the bytes of one response. */
export interface Parsed {
  /** Status of the last head, preceded by those of interim responses. */
  readonly statuses: ReadonlyArray<number>
  readonly body: string
  readonly isComplete: boolean
  /** Whether it refused something after the above. */
  readonly isRefused: boolean
  /** Whether another response may follow on the same connection. */
  readonly isReusable: boolean
}

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  readonly malloc: (size: number) => number
  readonly llhttp_alloc: (type: number) => number
  readonly llhttp_free: (parser: number) => void
  readonly llhttp_execute: (parser: number, at: number, length: number) => number
  readonly llhttp_finish: (parser: number) => number
  readonly llhttp_should_keep_alive: (parser: number) => number
}

/** Missing in Node's types. */
const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: {
    readonly Module: new(bytes: Uint8Array) => object
    readonly Instance: new(module: object, imports: object) => { readonly exports: Exports }
  }
}

const RESPONSE = 2
const OK = 0
const PAUSED = 21
const MAX_BYTES = 1 << 20

const load = (): Buffer => {
  const platform = createRequire(fileURLToPath(import.meta.resolve("@effect/platform-node/Undici")))
  return platform("undici/lib/llhttp/llhttp-wasm.js") as Buffer
}

/** A parser that reads one response after another. */
export const make = (): (pieces: ReadonlyArray<Uint8Array>, method: string, isClosed: boolean) => Parsed => {
  let statuses: Array<number> = []
  let body: Array<Buffer> = []
  let isComplete = false
  let isReusable = false
  let isHead = false
  let status = 0
  const nothing = () => 0
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(load())), {
    env: {
      wasm_on_url: nothing,
      wasm_on_status: nothing,
      wasm_on_message_begin: nothing,
      wasm_on_header_field: nothing,
      wasm_on_header_value: nothing,
      wasm_on_headers_complete: (_: number, code: number) => {
        status = code
        statuses.push(code)
        return isHead || code < 200 ? 1 : 0
      },
      wasm_on_body: (_: number, at: number, length: number) => {
        body.push(Buffer.from(new Uint8Array(llhttp.memory.buffer, at, length)))
        return 0
      },
      wasm_on_message_complete: (parser: number) => {
        if (status < 200) return 0
        isComplete = true
        isReusable = llhttp.llhttp_should_keep_alive(parser) === 1
        return PAUSED
      }
    }
  })
  const llhttp = exports
  const memory = llhttp.malloc(MAX_BYTES)
  return (pieces, method, isClosed) => {
    statuses = []
    body = []
    isComplete = isReusable = false
    isHead = method === "HEAD"
    const parser = llhttp.llhttp_alloc(RESPONSE)
    let code = OK
    for (const piece of pieces) {
      new Uint8Array(llhttp.memory.buffer).set(piece, memory)
      code = llhttp.llhttp_execute(parser, memory, piece.length)
      if (code !== OK) break
    }
    if (code === OK && isClosed && !isComplete) code = llhttp.llhttp_finish(parser)
    llhttp.llhttp_free(parser)
    return {
      statuses,
      body: Buffer.concat(body).toString("latin1"),
      isComplete,
      isRefused: code !== OK && code !== PAUSED,
      isReusable
    }
  }
}
