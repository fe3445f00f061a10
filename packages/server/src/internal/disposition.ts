/** The name of an uploaded part. */
import * as FileName from "@effect-fileio/core/FileName"
import * as Option from "effect/Option"

/** The file name that a part's `Content-Disposition` gives. */
export const fileName = (header: string): string | undefined => Option.getOrUndefined(FileName.fromFormData(header))
