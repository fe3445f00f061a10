/** The column that a listing is sorted by, the same in every catalog. */
export const COLUMNS = {
  id: "id",
  key: "key",
  name: "folded_name",
  title: "title",
  size: "size",
  mimeType: "mime_type",
  expires: "expires",
  downloads: "downloads",
  maxDownloads: "max_downloads",
  autoDelete: "auto_delete",
  created: "created",
  modified: "modified"
} as const

/** Databases fold by rules of their own (SQLite only ASCII), so what is searched is folded here. */
export const fold = (text: string): string => text.normalize("NFC").toLowerCase()
