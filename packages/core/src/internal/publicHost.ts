/** Whether a host is file.io itself, whose service has ended. */
export const isPublicHost = (host: string): boolean => /^(?:www\.)?file\.io(?::\d+)?$/.test(host)

/** What a program that still names file.io is to do. */
export const ENDED =
  "its service ended in 2026: run a host with `fileio serve` or FileIoServer, and set FILEIO_BASE_URL or the baseUrl option to it"
