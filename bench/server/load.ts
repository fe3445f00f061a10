/** A number of GET /me over a number of kept-alive connections. `node load.ts URL KEY REQUESTS CONNECTIONS` */
import { drive } from "../internal/drive.ts"

const [, , address = "", apiKey, requests_, connections] = process.argv
const requests = Number(requests_)
const url = new URL(address)
const request =
  `GET /me HTTP/1.1\r\nHost: ${url.host}\r\nAuthorization: Bearer ${apiKey}\r\nAccept: application/json\r\n\r\n`

const all = (left: number) =>
  drive(url, Number(connections), () => left-- > 0 ? request : undefined, (body) => {
    if (!body.includes("\"maxUploadBytes\":")) throw new Error(`not the account:\n${body}`)
  })

await all(Math.ceil(requests / 10))
const began = performance.now()
await all(requests)
const wallS = (performance.now() - began) / 1000
console.log(JSON.stringify({ wallS, perSecond: Math.round(requests / wallS) }))
