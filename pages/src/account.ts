/** The API key of those who have an account: kept for this tab, or in this browser where its user says so. */
import { baseUrl, get } from "./dom.ts"

const name = (): string => `fileio-key ${baseUrl()}`

const stored = (storage: () => Storage): string => {
  try {
    return storage().getItem(name()) ?? ""
  } catch {
    return ""
  }
}

const keep = (storage: () => Storage, key: string): void => {
  try {
    if (key === "") storage().removeItem(name())
    else storage().setItem(name(), key)
  } catch {
    // A browser may keep nothing.
  }
}

export interface Account {
  /** The key; `undefined`: no account. */
  readonly key: () => string | undefined
}

export const account = (onChange: () => void): Account => {
  const [field, remember] = [get<HTMLInputElement>("#key"), get<HTMLInputElement>("#remember")]
  const lasting = stored(() => localStorage)
  field.value = lasting || stored(() => sessionStorage)
  remember.checked = lasting !== ""
  if (field.value !== "") get<HTMLDetailsElement>("#account").open = true
  const save = () => {
    const key = field.value.trim()
    keep(() => localStorage, remember.checked ? key : "")
    keep(() => sessionStorage, remember.checked ? "" : key)
  }
  remember.addEventListener("change", save)
  field.addEventListener("change", () => {
    save()
    onChange()
  })
  return { key: () => field.value.trim() || undefined }
}
