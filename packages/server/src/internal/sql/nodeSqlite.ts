/** Loads `node:sqlite` without the warning of Node 22, in each thread, that it is experimental: the server is tested with it. */
import type * as Sqlite from "node:sqlite"

const load = (): typeof Sqlite => {
  const { emitWarning } = process
  // The module is loaded at once, so that every warning in between is its own.
  process.emitWarning = () => {}
  try {
    return process.getBuiltinModule("node:sqlite")
  } finally {
    process.emitWarning = emitWarning
  }
}

export const { DatabaseSync } = load()
export type DatabaseSync = Sqlite.DatabaseSync
