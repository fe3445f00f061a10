/** What a host does when connections break. */
import { once } from "node:events"
import * as Net from "node:net"
import { type Check, check, remove, send, succeeded } from "./checks.ts"

export const connectionChecks: ReadonlyArray<Check> = [
  check("upload", "whose connection is reset ends nothing but itself", async (host) => {
    const { hostname, port, protocol } = new URL(host.url)
    if (protocol !== "http:") return "a connection is reset below TLS"
    for (const type of ["multipart/form-data; boundary=b", "text/plain"]) {
      const socket = Net.connect(Number(port || 80), hostname)
      await once(socket, "connect")
      const head = [
        "POST / HTTP/1.1",
        `Host: ${hostname}`,
        `Authorization: Bearer ${host.key}`,
        `Content-Type: ${type}`,
        "Content-Disposition: inline; filename=\"reset.txt\"",
        "Content-Length: 1000",
        "Expect: 100-continue"
      ]
      socket.write(`${head.join("\r\n")}\r\n\r\n`)
      // The host reads the body.
      await once(socket, "data")
      socket.resetAndDestroy()
      await once(socket, "close")
    }
    const whole = await send(host, "/", {
      method: "POST",
      headers: { "content-type": "text/plain", "content-disposition": "inline; filename=\"whole.txt\"" },
      body: Buffer.from("whole")
    })
    await remove(host, succeeded(whole))
  })
]
