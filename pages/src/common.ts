/** What every page does. */
import { copyOnClick, find, get, show, showLocalTimes, wordsOf } from "./dom.ts"

/** Enhances the page, and its form where it has one. */
export const enhancePage = (enhanceForm?: (form: HTMLFormElement) => void): void => {
  showLocalTimes()
  // The address may have the key of a file behind its #, which a skip by the address would replace.
  get(".skip").addEventListener("click", (event) => {
    event.preventDefault()
    get("h1").focus()
  })
  const form = find<HTMLFormElement>("form[data-words]")
  for (const button of document.querySelectorAll<HTMLButtonElement>("[data-copy]")) {
    const source = get(button.dataset["copy"]!)
    const text = () => source instanceof HTMLInputElement ? source.value : source.textContent
    copyOnClick(button, text, form === undefined ? "✓" : wordsOf(form).copied)
    show(button, true)
  }
  if (form !== undefined) enhanceForm?.(form)
  for (const element of document.querySelectorAll<HTMLElement>("[data-script]")) show(element, true)
}
