/** Firefox, driven by WebDriver BiDi, the protocol that it speaks itself. */
import { Effect } from "effect"
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { watchProcesses } from "./browser.ts"
import { temporaryFolder } from "./support.ts"

const FIREFOX = ["/usr/bin/firefox-esr", "/usr/bin/firefox"].find((path) => Fs.existsSync(path))
export const hasFirefox = FIREFOX !== undefined
if (!hasFirefox) console.warn("SKIPPED: the pages in Firefox, which is not installed (Debian: firefox-esr)")

/** All that is not this machine goes to a proxy that does not exist: a browser under test calls nobody. */
const PREFERENCES = {
  "network.proxy.type": 1,
  "network.proxy.http": "127.0.0.1",
  "network.proxy.http_port": 9,
  "network.proxy.ssl": "127.0.0.1",
  "network.proxy.ssl_port": 9,
  "app.normandy.enabled": false,
  "browser.shell.checkDefaultBrowser": false,
  "datareporting.policy.dataSubmissionEnabled": false,
  "intl.accept_languages": "en",
  "toolkit.telemetry.enabled": false
}

const REQUESTS = ["network.beforeRequestSent"]

interface Message {
  readonly id?: number
  readonly type: "success" | "error" | "event"
  readonly method?: string
  readonly message?: string
  readonly result?: unknown
  readonly params?: unknown
}

interface Download {
  readonly status: "complete" | "canceled"
  readonly filepath: string | null
}

/** Sends commands, and calls `onEvent` with events. */
const connect = async (address: string, onEvent: (method: string, params: unknown) => void) => {
  const socket = new WebSocket(`${address}/session`)
  const calls = new Map<number, PromiseWithResolvers<unknown>>()
  socket.addEventListener("message", ({ data }) => {
    const message = JSON.parse(String(data)) as Message
    if (message.type === "event") return onEvent(message.method!, message.params)
    const call = calls.get(message.id!)
    calls.delete(message.id!)
    if (message.type === "error") call?.reject(new Error(message.message))
    else call?.resolve(message.result)
  })
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve)
    socket.addEventListener("error", reject)
    socket.addEventListener("close", () => {
      for (const call of calls.values()) call.reject(new Error("Firefox closed the connection"))
    })
  })
  let last = 0
  return <A>(method: string, params: object): Promise<A> => {
    const call = Promise.withResolvers<unknown>()
    calls.set(++last, call)
    socket.send(JSON.stringify({ id: last, method, params }))
    return call.promise as Promise<A>
  }
}

/** A process and all that it started. */
const family = (root: number): ReadonlyArray<number> => {
  const parents = Fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((id) => {
    try {
      return [[Number(id), Number(/^PPid:\s+(\d+)/m.exec(Fs.readFileSync(`/proc/${id}/status`, "utf8"))?.[1])] as const]
    } catch {
      // It has ended.
      return []
    }
  })
  const found = [root]
  for (const parent of found) found.push(...parents.filter(([, of]) => of === parent).map(([id]) => id))
  return found
}

/** One window of a fresh Firefox, which saves downloads in `folder`. */
export const openFirefox = Effect.fnUntraced(
  function*(folder: string, preferences: Readonly<Record<string, number>> = {}) {
    const profile = yield* temporaryFolder
    Fs.writeFileSync(
      Path.join(profile, "user.js"),
      Object.entries({ ...PREFERENCES, ...preferences }).map(([name, value]) =>
        `user_pref("${name}", ${JSON.stringify(value)});\n`
      ).join("")
    )
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(FIREFOX!, ["--headless", "--no-remote", "--remote-debugging-port=0", "--profile", profile], {
          env: { ...process.env, LC_ALL: "C.UTF-8", HOME: profile },
          stdio: ["ignore", "ignore", "pipe"]
        })
      ),
      (child) =>
        Effect.promise(async () => {
          if (child.exitCode !== null || child.signalCode !== null) return
          const exited = new Promise((resolve) => child.once("exit", resolve))
          child.kill("SIGKILL")
          await exited
        })
    )
    const address = yield* Effect.promise(() =>
      new Promise<string>((resolve, reject) => {
        let said = ""
        child.stderr.on("data", (chunk: Buffer) => {
          said += chunk.toString()
          const found = /WebDriver BiDi listening on (ws:\S+)/.exec(said)?.[1]
          if (found !== undefined) resolve(found)
        })
        child.once("exit", () => reject(new Error(`Firefox ended: ${said}`)))
      })
    )
    return yield* Effect.promise(async () => {
      const seen: Array<string> = []
      const downloads: Array<Download> = []
      const waiting: Array<(download: Download) => void> = []
      const send = await connect(address, (method, params) => {
        if (method === "browsingContext.downloadEnd") {
          const next = waiting.shift()
          if (next === undefined) downloads.push(params as Download)
          else next(params as Download)
        } else if (method === "network.beforeRequestSent") {
          const { request: { headers, url } } = params as {
            readonly request: { readonly url: string; readonly headers: unknown }
          }
          if (!/^(?:http:\/\/127\.0\.0\.1:|blob:|data:|about:)/.test(url)) seen.push(`asked ${url}`)
          if (/AGE-SECRET-KEY|%23/i.test(`${url.replace(/#.*/s, "")} ${JSON.stringify(headers)}`)) {
            seen.push(`sent the secret: ${url}`)
          }
        } else {
          const { level, text } = params as { readonly level: string; readonly text: string }
          if (level === "error") seen.push(text)
        }
      })
      await send("session.new", { capabilities: {} })
      await send("session.subscribe", {
        events: ["browsingContext.downloadEnd", "log.entryAdded", ...REQUESTS]
      })
      await send("browser.setDownloadBehavior", { downloadBehavior: { type: "allowed", destinationFolder: folder } })
      const { context } = await send<{ readonly context: string }>("browsingContext.create", { type: "window" })
      /** The value of an expression in the page. */
      const evaluate = async (expression: string): Promise<unknown> => {
        const { exceptionDetails, result } = await send<{
          readonly result?: { readonly value?: unknown }
          readonly exceptionDetails?: { readonly text: string }
        }>("script.evaluate", { expression, target: { context }, awaitPromise: true })
        if (exceptionDetails !== undefined) throw new Error(exceptionDetails.text)
        return result?.value
      }
      const until = async (expression: string) => {
        while (await evaluate(expression) !== true) await new Promise((resolve) => setTimeout(resolve, 50))
      }
      const element = async (selector: string) => {
        const { nodes } = await send<{ readonly nodes: ReadonlyArray<{ readonly sharedId: string }> }>(
          "browsingContext.locateNodes",
          { context, locator: { type: "css", value: selector } }
        )
        return { sharedId: nodes[0]!.sharedId }
      }
      return {
        seen,
        /** As for Chromium. Firefox keeps the responses of requests that it reports, so it reports none meanwhile. */
        watchMemory: async () => {
          await send("session.unsubscribe", { events: REQUESTS })
          const grown = await watchProcesses(() => family(child.pid!))
          return async () => {
            await send("session.subscribe", { events: REQUESTS })
            return grown()
          }
        },
        evaluate,
        until,
        goto: (url: string) => send("browsingContext.navigate", { context, url, wait: "complete" }),
        choose: async (selector: string, path: string) =>
          send("input.setFiles", { context, element: await element(selector), files: [path] }),
        /** As a mouse does. */
        click: async (selector: string) => {
          await evaluate(`document.querySelector(${JSON.stringify(selector)}).scrollIntoView({ block: "center" })`)
          const origin = { type: "element", element: await element(selector) }
          const press = [
            { type: "pointerMove", x: 0, y: 0, origin },
            { type: "pointerDown", button: 0 },
            { type: "pointerUp", button: 0 }
          ]
          await send("input.performActions", { context, actions: [{ type: "pointer", id: "mouse", actions: press }] })
        },
        /** The next download that ends. */
        download: () =>
          new Promise<Download>((resolve) => {
            const first = downloads.shift()
            if (first === undefined) waiting.push(resolve)
            else resolve(first)
          })
      }
    })
  }
)
