/** SQLite's primary result codes; an extended code has its primary code in the lowest byte. */
const SQLITE_READONLY = 8
const SQLITE_FULL = 13
const SQLITE_CANTOPEN = 14

const property = (cause: unknown, name: string): unknown =>
  typeof cause === "object" && cause !== null ? (cause as Record<string, unknown>)[name] : undefined

/** The fault of the disk, if it made the file system or SQLite fail. */
export const diskFault = (cause: unknown): "disk-full" | "not-writable" | undefined => {
  const sqlite = property(cause, "errcode")
  switch (typeof sqlite === "number" ? sqlite & 0xff : property(cause, "code")) {
    case "ENOSPC":
    case "EDQUOT":
    case SQLITE_FULL:
      return "disk-full"
    case "EROFS":
    case "EACCES":
    case "EPERM":
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
      return "not-writable"
    default:
      return undefined
  }
}
