/**
 * The only module that writes by `node:sqlite`. Reads are queries, and every change runs in a transaction whose `COMMIT` is
 * checked.
 *
 * `StatementSync.get()` and `.run()` step a statement with `RETURNING` once and then reset it. Outside a transaction the reset
 * commits, and its error is lost: on a full disk the row is returned although it was never stored. So a change can only be made
 * inside `transaction`, which throws unless the commit succeeded, and each statement is stepped to its end.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import type { SQLInputValue, StatementSync } from "node:sqlite"
import { diskFault } from "../disk/diskFault.ts"
import { DatabaseSync } from "./nodeSqlite.ts"
import type { Row } from "./rows.ts"

/** Values by name, without the colon. */
export type Values = Record<string, SQLInputValue>

/** A statement that only reads. */
interface Query {
  readonly all: (values?: Values) => ReadonlyArray<Row>
  readonly first: (values?: Values) => Row | undefined
}

/** A statement that writes, for use inside a transaction. */
interface Change {
  /** Returns how many rows it changed. */
  readonly run: (values?: Values) => number
}

/** A statement that writes and has a `RETURNING` clause, for use inside a transaction. */
interface Returning {
  readonly all: (values?: Values) => ReadonlyArray<Row>
  readonly first: (values?: Values) => Row | undefined
}

interface TransactionOptions {
  /**
   * Whether it must survive a power failure. If not, it costs no sync, and the next durable transaction makes it durable too,
   * since the log is written in order; it survives a crash of the process in either case.
   *
   * @default true
   */
  readonly durable?: boolean
  /** Whether it may use the reserve on a full disk. @default true */
  readonly usesReserve?: boolean
}

/** A connection that reads. */
export interface Reads {
  readonly query: (text: string) => Query
}

export interface Database extends Reads {
  readonly change: (text: string) => Change
  readonly returning: (text: string) => Returning
  /**
   * Runs all of it or nothing. Throws the first error. On a full disk `run` is called a second time once there is space, so it
   * must not change anything in memory.
   */
  readonly transaction: <A>(run: () => A, options?: TransactionOptions) => A
  /** Copies the log into the database as far as possible, so that the log is overwritten from its beginning. */
  readonly checkpoint: () => void
  /** Writes the whole database once more, outside a transaction; it takes twice its size on its disk. */
  readonly rewrite: () => void
  /** Runs statements that have neither values nor rows, such as a schema. */
  readonly exec: (text: string) => void
  readonly close: () => void
}

/** SQLite gives its other files the permissions of the database, so this file is created before SQLite opens it. */
const makePrivate = (path: string): void => Fs.closeSync(Fs.openSync(path, "a", 0o600))

/** SQLite's primary result code for errors of the file system. */
const IO_ERROR = 10

/**
 * A commit failed at the disk. It is undone for this process; after a crash of the machine, before any other write, it may turn
 * out to have succeeded.
 */
export class UnknownOutcome extends Error {
  constructor(cause: unknown) {
    super("the disk did not report whether it has the change", { cause })
  }
}

/** SQLite's primary result code, if it is an error of SQLite. */
export const codeOf = (cause: unknown): number | undefined =>
  cause instanceof Error && "errcode" in cause && typeof cause.errcode === "number" ? cause.errcode & 0xff : undefined

const hasReturning = (text: string): boolean => /\breturning\b/i.test(text)

/**
 * SQLite writes a copy of the database into a temporary file. In `/tmp`, that may take the memory of the machine, and bytes of
 * files would leave the data folder.
 */
const rewrite = (db: DatabaseSync, path: string): void => {
  const folder = Path.dirname(path).replaceAll("'", "''")
  db.exec(`PRAGMA temp_store_directory = '${folder}'`)
  try {
    db.exec("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")
  } finally {
    db.exec("PRAGMA temp_store_directory = ''")
  }
}

const open = (db: DatabaseSync, path: string, makeRoom: () => void): Database => {
  const begin = db.prepare("BEGIN IMMEDIATE")
  const commit = db.prepare("COMMIT")
  const rollback = db.prepare("ROLLBACK")
  let running = false
  let durableNow: boolean | undefined

  const checkpoint = () => db.exec("PRAGMA wal_checkpoint(PASSIVE)")

  const runOnce = <A>(run: () => A, durable: boolean): A => {
    if (running) throw new Error("a transaction is running already")
    // An earlier ROLLBACK failed and left it open.
    if (db.isTransaction) rollback.run()
    if (durableNow !== durable) {
      db.exec(`PRAGMA synchronous = ${durable ? "FULL" : "NORMAL"}`)
      durableNow = durable
    }
    begin.run()
    running = true
    try {
      const result = run()
      try {
        commit.run()
      } catch (cause) {
        throw codeOf(cause) === IO_ERROR ? new UnknownOutcome(cause) : cause
      }
      return result
    } catch (cause) {
      // SQLite rolls back by itself after some errors. A failed ROLLBACK must not hide the first error, and is repeated by the
      // next transaction.
      try {
        if (db.isTransaction) rollback.run()
      } catch {}
      throw cause
    } finally {
      running = false
    }
  }

  const transaction = <A>(run: () => A, { durable = true, usesReserve = true }: TransactionOptions = {}): A => {
    try {
      return runOnce(run, durable)
    } catch (cause) {
      if (!usesReserve || diskFault(cause) !== "disk-full") throw cause
      try {
        makeRoom()
        checkpoint()
      } catch {
        throw cause
      }
      return runOnce(run, durable)
    }
  }

  const within = <A>(run: () => A): A => {
    if (!running) throw new Error("a change needs a transaction")
    return run()
  }

  return {
    query: (text) => {
      const statement = db.prepare(text)
      return { all: (values = {}) => statement.all(values), first: (values = {}) => statement.get(values) }
    },
    change: (text) => {
      if (hasReturning(text)) throw new Error("a statement with RETURNING is not a change; use `returning`")
      const statement = db.prepare(text)
      return { run: (values = {}) => within(() => Number(statement.run(values).changes)) }
    },
    returning: (text) => {
      if (!hasReturning(text)) throw new Error("the statement has no RETURNING")
      const statement: StatementSync = db.prepare(text)
      const all = (values: Values = {}) => within(() => statement.all(values))
      return { all, first: (values) => all(values)[0] }
    },
    transaction,
    checkpoint,
    rewrite: () => rewrite(db, path),
    exec: (text) => db.exec(text),
    close: () => db.close()
  }
}

/**
 * Opens a database for reading and writing, with a write-ahead log. Only its owner can read its files. `makeRoom` is called if
 * the disk is full.
 */
export const openDatabase = (path: string, makeRoom: () => void = () => {}): Database => {
  makePrivate(path)
  const db = new DatabaseSync(path, { timeout: 5000 })
  try {
    // Deleted bytes are overwritten, and the file can shrink; see `sqliteSpace.ts`.
    db.exec("PRAGMA secure_delete = ON; PRAGMA auto_vacuum = INCREMENTAL")
    db.exec("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON")
    return open(db, path, makeRoom)
  } catch (cause) {
    db.close()
    throw cause
  }
}

/** Opens a database that another connection writes, for reading only. */
export const openReadOnly = (path: string): Reads & Pick<Database, "close"> => {
  const db = new DatabaseSync(path, { readOnly: true, timeout: 5000 })
  const { close, query } = open(db, path, () => {})
  return { close, query }
}

/**
 * Holds a lock on a file until it is closed. The system releases the lock with the process, however that ends; a pid file would
 * stay behind.
 */
export const openLock = (path: string): { readonly close: () => void } => {
  makePrivate(path)
  const lock = new DatabaseSync(path)
  try {
    // The journal is in memory, so that a full disk does not matter.
    lock.exec("PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
    return { close: () => lock.close() }
  } catch (cause) {
    lock.close()
    throw cause
  }
}
