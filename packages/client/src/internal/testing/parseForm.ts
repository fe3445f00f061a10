/** A received form. */
interface Form {
  readonly fields: Readonly<Record<string, string>>
  readonly file:
    | { readonly name: string; readonly contentType: string; readonly bytes: Uint8Array }
    | undefined
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const indexOf = (bytes: Uint8Array, pattern: Uint8Array, from: number): number => {
  const first = pattern[0]!
  for (let at = bytes.indexOf(first, from); at !== -1; at = bytes.indexOf(first, at + 1)) {
    let i = 1
    while (i < pattern.length && bytes[at + i] === pattern[i]) i++
    if (i === pattern.length) return at
  }
  return -1
}

// `; name="…"` or `; name*=…` to the end of the header, and nothing in between.
const PARAMETER = /; ([a-z]+\*?)=(?:"([^"\r\n]*)"|([^\s;"]+))/y

/**
 * Parses `multipart/form-data` as strictly as RFC 7578 allows, and reports errors instead of guessing: every parser understands
 * a form that passes here.
 */
export const parse = (contentType: string | undefined, body: Uint8Array): Form | string => {
  const boundary = /^multipart\/form-data; boundary=([\w'()+,./:=?-]{1,70})$/.exec(contentType ?? "")?.[1]
  if (boundary === undefined) return "the body is not a form"
  const encoder = new TextEncoder()
  const delimiter = encoder.encode(`\r\n--${boundary}`)
  const blank = encoder.encode("\r\n\r\n")
  const fields: Record<string, string> = {}
  let file: Form["file"]
  const opening = encoder.encode(`--${boundary}`)
  if (indexOf(body, opening, 0) !== 0) return "the form does not begin with its boundary"
  let at = opening.length
  while (true) {
    const mark = String.fromCharCode(body[at] ?? 0, body[at + 1] ?? 0)
    if (mark === "--") {
      const rest = body.length - at - 2
      return rest === 0 || (rest === 2 && body[at + 2] === 13 && body[at + 3] === 10)
        ? { fields, file }
        : "there is something after the form"
    }
    if (mark !== "\r\n") return "a boundary ends neither a line nor the form"
    const headEnd = indexOf(body, blank, at)
    const contentEnd = indexOf(body, delimiter, Math.max(headEnd + 2, 0))
    if (headEnd === -1 || contentEnd === -1 || contentEnd < headEnd) return "a part does not end"
    let head: string
    try {
      head = strictUtf8.decode(body.subarray(at + 2, headEnd))
    } catch {
      return "the headers of a part are not UTF-8"
    }
    const part = readHead(head)
    if (typeof part === "string") return part
    const content = body.slice(headEnd + 4, contentEnd)
    if (part.fileName !== undefined) {
      if (file !== undefined) return "there are two files"
      file = { name: part.fileName, contentType: part.contentType ?? "application/octet-stream", bytes: content }
    } else {
      if (part.name in fields) return `the field ${part.name} is there twice`
      fields[part.name] = strictUtf8.decode(content)
    }
    at = contentEnd + delimiter.length
  }
}

const readHead = (head: string) => {
  let name: string | undefined
  let fileName: string | undefined
  let contentType: string | undefined
  for (const line of head.split("\r\n")) {
    const [, header, value] = /^([A-Za-z-]+): (\S.*)$/.exec(line) ?? []
    if (header === undefined || value === undefined) return "a header of a part is malformed"
    if (header.toLowerCase() === "content-type") contentType = value
    else if (header.toLowerCase() === "content-disposition") {
      if (!value.startsWith("form-data;")) return "a part is no form data"
      PARAMETER.lastIndex = "form-data".length
      let end = PARAMETER.lastIndex
      const given = new Map<string, string>()
      for (let match = PARAMETER.exec(value); match !== null; match = PARAMETER.exec(value)) {
        if (given.has(match[1]!)) return "a parameter of a part is there twice"
        given.set(match[1]!, match[2] ?? match[3]!)
        end = PARAMETER.lastIndex
      }
      if (end !== value.length) return "a parameter of a part is malformed"
      name = unquote(given.get("name"))
      const extended = given.get("filename*")
      fileName = extended === undefined
        ? unquote(given.get("filename"))
        : decodeURIComponent(extended.replace(/^UTF-8''/, ""))
    } else return "a part has a header that is not known"
  }
  return name === undefined ? "a part has no name" : { name, fileName, contentType }
}

/** The three characters that the HTML standard percent-encodes. */
const unquote = (value: string | undefined): string | undefined =>
  value?.replace(/%0A/g, "\n").replace(/%0D/g, "\r").replace(/%22/g, "\"")
