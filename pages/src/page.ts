/** What every page does; those of senders and receivers load the SDK when they need it. */
import { copyOnClick, find, get, show, showLocalTimes, wordsOf } from "./dom.ts"
import * as Receive from "./receive.ts"
import * as Send from "./send.ts"

showLocalTimes()

const form = find<HTMLFormElement>("form[data-words]")
for (const button of document.querySelectorAll<HTMLButtonElement>("[data-copy]")) {
  const source = get(button.dataset["copy"]!)
  const text = () => source instanceof HTMLInputElement ? source.value : source.textContent
  copyOnClick(button, text, form === undefined ? "✓" : wordsOf(form).copied, source)
  show(button, true)
}

if (form?.id === "upload") Send.enhance(form)
if (form?.id === "download") Receive.enhance(form)

for (const element of document.querySelectorAll<HTMLElement>("[data-script]")) show(element, true)
