/** Resumable uploads, an extension of the contract: checked where a host says that it has them. */
import assert from "node:assert/strict"
import { type Answer, type Check, check, type Host, remove, send, succeeded } from "./checks.ts"

const ABSENT = "the host does not support resumable uploads"
const CONTENT = Buffer.from("a file that comes in two parts")

const isSupported = async (host: Host): Promise<boolean> => {
  const { headers, status } = await send(host, "/", { method: "OPTIONS" })
  return status < 300 && String(headers["accept-patch"]).includes("application/partial-upload")
}

const begin = async (host: Host, body: Buffer): Promise<string> => {
  const begun = await send(host, "/?title=parts", {
    method: "POST",
    body,
    headers: {
      "content-disposition": "inline; filename=\"parts.txt\"",
      "content-type": "text/plain",
      "upload-complete": "?0",
      "upload-length": String(CONTENT.length)
    }
  })
  assert.equal(begun.status, 201, String(begun.body))
  return new URL(String(begun.headers["location"]), `${host.url}/`).href
}

const append = (host: Host, upload: string, offset: number, body: Buffer, isLast: boolean): Promise<Answer> =>
  send(host, upload, {
    method: "PATCH",
    body,
    headers: {
      "content-type": "application/partial-upload",
      "upload-complete": isLast ? "?1" : "?0",
      "upload-offset": String(offset)
    }
  })

const offsetOf = async (host: Host, upload: string) => {
  const { headers, status } = await send(host, upload, { method: "HEAD" })
  return { status, offset: Number(headers["upload-offset"]), isComplete: headers["upload-complete"] === "?1", headers }
}

export const resumableChecks: ReadonlyArray<Check> = [
  check("resumable upload", "comes in parts, and ends with the answer of an upload", async (host) => {
    if (!(await isSupported(host))) return ABSENT
    const upload = await begin(host, CONTENT.subarray(0, 7))
    const begun = await offsetOf(host, upload)
    assert.deepEqual([begun.status < 300, begun.offset, begun.isComplete], [true, 7, false])
    assert.equal(begun.headers["upload-length"], String(CONTENT.length))
    assert.match(String(begun.headers["cache-control"]), /no-store/)
    const part = await append(host, upload, 7, CONTENT.subarray(7, 12), false)
    assert.ok(part.status >= 200 && part.status < 300, String(part.status))
    const last = await append(host, upload, 12, CONTENT.subarray(12), true)
    assert.equal(last.headers["upload-complete"], "?1")
    const file = succeeded(last)
    assert.deepEqual([file["name"], file["title"], file["size"]], ["parts.txt", "parts", CONTENT.length])
    const got = await send(host, `/${String(file["key"])}`, { headers: { accept: "*/*" } })
    assert.deepEqual(got.body, CONTENT)
  }),
  check("resumable upload", "refuses an offset that is not its own, and says the right one", async (host) => {
    if (!(await isSupported(host))) return ABSENT
    const upload = await begin(host, CONTENT.subarray(0, 7))
    for (const offset of [0, 6, 8]) {
      const wrong = await append(host, upload, offset, CONTENT.subarray(offset), true)
      assert.deepEqual([wrong.status, wrong.headers["upload-offset"]], [409, "7"])
    }
    const file = succeeded(await append(host, upload, 7, CONTENT.subarray(7), true))
    await remove(host, file)
  }),
  check("resumable upload", "can be given up", async (host) => {
    if (!(await isSupported(host))) return ABSENT
    const upload = await begin(host, CONTENT.subarray(0, 7))
    assert.ok((await send(host, upload, { method: "DELETE" })).status < 300)
    const { status } = await offsetOf(host, upload)
    assert.ok(status === 404 || status === 410, String(status))
  })
]
