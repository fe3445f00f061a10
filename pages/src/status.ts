/** The status of a file, which takes nothing. */
import { baseUrl } from "./dom.ts"

const STATES = ["available", "downloading", "interrupted", "downloaded", "expired", "deleted"] as const

export interface Status {
  readonly state: typeof STATES[number] | "gone"
  /** Whether it is this browser's own download, which it may begin again. */
  readonly isMine: boolean
  readonly seconds: number | undefined
}

/** Asks the host; `undefined`: it does not say. A sender's token learns what became of a file that is gone. */
export const statusOf = async (key: string, token?: string): Promise<Status | undefined> => {
  try {
    const response = await fetch(`${baseUrl()}/status/${key}`, {
      headers: { accept: "application/json", ...(token === undefined ? {} : { "delete-token": token }) },
      cache: "no-store"
    })
    if (response.status === 404) return { state: "gone", isMine: false, seconds: undefined }
    const { seconds, state, yours } = await response.json() as Record<string, unknown>
    const known = STATES.find((one) => one === state)
    return known === undefined
      ? undefined
      : { state: known, isMine: yours === true, seconds: typeof seconds === "number" ? seconds : undefined }
  } catch {
    return undefined
  }
}
