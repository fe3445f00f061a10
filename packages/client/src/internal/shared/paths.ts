import * as PlainText from "@effect-fileio/core/PlainText"

/**
 * Why a value cannot be used as a path. A link with a secret is refused before it gets into an error or a log, where paths are
 * shown.
 */
export const problemOf = (path: unknown, allowed = "allowed: a path, as text"): string | undefined =>
  typeof path !== "string" || path === ""
    ? allowed
    : PlainText.withoutSecrets(path) === path
    ? undefined
    : "it contains the secret of an encrypted file, as its link does; give a path"
