/** What a part of a form says of the file in it, as it is kept. */
import * as FileName from "@effect-fileio/core/FileName"
import * as MediaType from "@effect-fileio/core/MediaType"
import * as PlainText from "@effect-fileio/core/PlainText"
import * as Refusal from "./refusal.ts"

/** The file name that a part's `Content-Disposition` gives. */
export const fileName = (header: string): string | undefined => FileName.ofFormPart(header).fileName

const refused = (field: string, text: string): Refusal.Refusal | undefined => {
  const problem = PlainText.problem(text)
  return problem === undefined ? undefined : Refusal.invalid(`${field}: ${problem}`)
}

/**
 * The name and the type of an uploaded file. What cannot be stored or shown is taken out of them, and what is too long is
 * refused: every answer that gives the file carries both in its headers.
 */
export const describe = (name: string, type: string) => {
  const clean = FileName.clean(name)
  const problem = refused("name", clean) ??
    (type.length > PlainText.MAX_BYTES ? refused("contentType", type) : undefined)
  return { name: clean, mimeType: MediaType.sanitize(type.split(";")[0]!.toLowerCase()), problem }
}
