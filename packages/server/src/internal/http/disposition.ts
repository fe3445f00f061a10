/** The name and type of an uploaded file, from a part's headers, as they are stored. */
import * as FileName from "@effect-fileio/core/FileName"
import * as MediaType from "@effect-fileio/core/MediaType"
import * as PlainText from "@effect-fileio/core/PlainText"
import * as Refusal from "./refusal.ts"

/** The file name in a part's `Content-Disposition`. */
export const fileName = (header: string): string | undefined => FileName.ofFormPart(header).fileName

const refused = (field: string, text: string): Refusal.Refusal | undefined => {
  const problem = PlainText.problem(text)
  return problem === undefined ? undefined : Refusal.invalid(`${field}: ${problem}`)
}

/**
 * The name and the type of an uploaded file. Removes characters that cannot be stored or shown, and refuses values that are too
 * long: every response with the file has both in its headers.
 */
export const describe = (name: string, type: string) => {
  const clean = FileName.clean(name)
  const problem = refused("name", clean) ??
    (type.length > PlainText.MAX_BYTES ? refused("contentType", type) : undefined)
  return { name: clean, mimeType: MediaType.sanitize(type.split(";")[0]!.toLowerCase()), problem }
}
