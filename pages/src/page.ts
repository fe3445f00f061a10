/** What every page does; the pages of senders and receivers load the rest. */
import { copyOnClick, find, get, show, showLocalTimes, wordsOf } from "./dom.ts"

for (const element of document.querySelectorAll<HTMLElement>("[data-script]")) show(element, true)
showLocalTimes()

const form = find<HTMLFormElement>("form[data-words]")
for (const button of document.querySelectorAll<HTMLButtonElement>("[data-copy]")) {
  const source = get(button.dataset["copy"]!)
  const text = () => source instanceof HTMLInputElement ? source.value : source.textContent
  copyOnClick(button, text, form === undefined ? "✓" : wordsOf(form).copied, source)
  show(button, true)
}

if (form?.id === "upload") void import("./send.ts").then(({ enhance }) => enhance(form))
if (form?.id === "download") void import("./receive.ts").then(({ enhance }) => enhance(form))
