/** Ordinary networks for tests: a proxy with a password, a private certificate authority, client certificates. */
import { Effect, Redacted } from "effect"
import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import * as Http from "node:http"
import * as Https from "node:https"
import * as Net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

export const fixture = (name: string): URL => new URL(`fixtures/${name}`, import.meta.url)
export const fixturePath = (name: string): string => fileURLToPath(fixture(name))
const pem = (name: string) => readFileSync(fixture(name), "utf8")

/** The passphrase of `client.key`. */
export const PASSPHRASE = Redacted.make("opensesame")

export const hasTinyproxy = spawnSync("tinyproxy", ["-v"]).status === 0
if (!hasTinyproxy) {
  process.stderr.write("SKIPPED: no tinyproxy in the path, so proxies are not tested (apt-get install tinyproxy)\n")
}

export const portOf = (server: Net.Server): number => (server.address() as Net.AddressInfo).port

/** A server that listens until the scope closes. */
export const listening = <S extends Net.Server>(server: S, path?: string) =>
  Effect.acquireRelease(
    Effect.callback<S>((resume) => {
      const listens = () => resume(Effect.succeed(server))
      if (path === undefined) server.listen(0, "127.0.0.1", listens)
      else server.listen(path, listens)
    }),
    (server) =>
      Effect.callback<void>((resume) => {
        if (server instanceof Http.Server) server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  )

export const freePort = Effect.scoped(Effect.map(listening(Net.createServer()), portOf))

/** Forwards every request to a host. */
const passOn = (url: string): Http.RequestListener => (request, response) => {
  const { hostname, port } = new URL(url)
  const { headers, method = "GET", url: path = "/" } = request
  const onward = Http.request({ hostname, port, path, method, headers }, (answer) => {
    response.writeHead(answer.statusCode!, answer.headers)
    answer.pipe(response)
  })
  onward.on("error", () => response.destroy())
  request.on("error", () => onward.destroy())
  request.pipe(onward)
}

/** The host over `https:`, with a certificate of the test's authority; with `wantsCertificate`, clients need one too. */
export const secureHost = (
  url: string,
  options: Https.ServerOptions & { readonly wantsCertificate?: boolean; readonly certificate?: string } = {}
) => {
  const { certificate = "host", wantsCertificate = false, ...tls } = options
  return Effect.map(
    listening(Https.createServer({
      key: pem(`${certificate}.key`),
      cert: pem(`${certificate}.crt`),
      ca: pem("ca.crt"),
      requestCert: wantsCertificate,
      rejectUnauthorized: wantsCertificate,
      ...tls
    }, passOn(url))),
    (server) => `https://localhost:${portOf(server)}`
  )
}

/** The host on a unix socket. */
export const unixHost = (url: string, path: string) => listening(Http.createServer(passOn(url)), path)

/** A folder that is removed with the scope. */
export const temporary = Effect.acquireRelease(
  Effect.sync(() => mkdtempSync(join(tmpdir(), "fileio-network-"))),
  (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true, maxRetries: 3 }))
)

/** A tinyproxy that requires the user `ada` with the password `s3cret.pass`. */
export const proxy = Effect.gen(function*() {
  const folder = yield* temporary
  const port = yield* freePort
  const log = join(folder, "log")
  const configuration = join(folder, "tinyproxy.conf")
  writeFileSync(
    configuration,
    [
      `Port ${port}`,
      "Listen 127.0.0.1",
      "Allow 127.0.0.1",
      "Timeout 60",
      "MaxClients 50",
      `LogFile "${log}"`,
      "LogLevel Connect",
      "BasicAuth ada s3cret.pass"
    ].join("\n") + "\n"
  )
  yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const child = spawn("tinyproxy", ["-d", "-c", configuration], { stdio: "ignore" })
      for (let tries = 0; tries < 200; tries++) {
        const socket = Net.connect({ host: "127.0.0.1", port })
        const connected = await once(socket, "connect").then(() => true, () => false)
        socket.destroy()
        if (connected) return child
        await new Promise((resolve) => setTimeout(resolve, 25))
      }
      throw new Error("tinyproxy does not listen")
    }),
    (child) =>
      Effect.promise(async () => {
        if (child.exitCode !== null) return
        child.kill()
        await once(child, "exit")
      })
  )
  return {
    port,
    /** Its address with the password. */
    url: `http://ada:s3cret%2Epass@127.0.0.1:${port}`,
    bare: `http://127.0.0.1:${port}`,
    /** The requests that it got. */
    asked: () =>
      (readFileSync(log, "utf8").match(/Request \(file descriptor \d+\): \S+ \S+/g) ?? []).map((line) =>
        line.replace(/^.*: /, "")
      )
  }
})
