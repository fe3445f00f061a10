/** The page's elements, its words, and how it shows sizes and times. */
import * as LongName from "../../packages/server/src/internal/web/longName.ts"
import type { Words as AllWords } from "../../packages/server/src/internal/web/words/en.ts"

export type Words = AllWords["script"]

export const find = <E extends Element = HTMLElement>(selector: string, root: ParentNode = document): E | undefined =>
  root.querySelector<E>(selector) ?? undefined

/** An element that the page has. */
export const get = <E extends Element = HTMLElement>(selector: string, root: ParentNode = document): E => {
  const found = find<E>(selector, root)
  if (found === undefined) throw new Error(`the page has no ${selector}`)
  return found
}

export const show = (element: HTMLElement, isShown: boolean): void => {
  element.hidden = !isShown
}

/** Makes an element with children; texts are texts. */
export const make = <Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Readonly<Record<string, string>>,
  ...children: ReadonlyArray<Node | string>
): HTMLElementTagNameMap[Name] => {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value)
  element.append(...children)
  return element
}

/** A name without characters that nobody sees, which can reverse it: `PlainText.strip` of core would load all of the SDK. */
export const visible = (name: string): string => name.replace(/[\p{Cc}\p{Bidi_Control}]/gu, "")

/** A file's name, isolated so that it cannot change the direction of the text around it; a long one keeps its end. */
export const isolated = (given: string): HTMLElement => {
  const name = visible(given)
  const long = LongName.split(name)
  if (long === undefined) return make("bdi", {}, name)
  return make(
    "bdi",
    { title: name },
    make("span", { class: "start" }, long.start),
    make("span", { class: "end" }, long.end)
  )
}

/** The address of `/`, below any path of a proxy, without a slash at its end. */
export const baseUrl = (): string =>
  new URL(document.documentElement.dataset["root"] ?? "./", location.href.replace(/[?#].*$/s, "")).href.replace(
    /\/$/,
    ""
  )

export const wordsOf = (element: HTMLElement): Words => JSON.parse(element.dataset["words"] ?? "{}") as Words

export const fill = (text: string, parts: Readonly<Record<string, string | number>>): string =>
  text.replace(/\{(\w+)\}/g, (_, name: string) => String(parts[name] ?? ""))

/** Says a sentence; a `{reason}` in it is of the host or the SDK, whose language is English. */
export const tell = (element: HTMLElement, text: string, reason = ""): void => {
  if (element.textContent !== text.replace("{reason}", () => reason)) {
    const [before, after] = text.split("{reason}") as [string, string?]
    element.replaceChildren(
      before,
      ...after === undefined ? [] : [make("span", { lang: "en", dir: "ltr" }, reason), after]
    )
  }
  show(element, text !== "")
}

const language = (): string => document.documentElement.lang

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"]

/** Such as `1.5 MB`. */
export const size = (bytes: number): string => {
  let value = bytes
  let unit = 0
  for (; value >= 999.5 && unit < UNITS.length - 1; unit++) value /= 1000
  return new Intl.NumberFormat(language(), {
    style: "unit",
    unit: UNITS[unit]!,
    // As on the server's pages.
    unitDisplay: unit === 0 || language() === "ar" ? "long" : "short",
    maximumFractionDigits: unit === 0 || value >= 99.5 ? 0 : 1
  }).format(value)
}

/** Such as `3 minutes`. */
export const duration = (seconds: number): string => {
  const [value, unit] = seconds < 90
    ? [seconds, "second"]
    : seconds < 5400
    ? [seconds / 60, "minute"]
    : [seconds / 3600, "hour"]
  return new Intl.NumberFormat(language(), {
    style: "unit",
    unit,
    unitDisplay: "long",
    maximumFractionDigits: 0
  }).format(Math.max(1, Math.ceil(value)))
}

/** Without this script, times are shown in UTC. */
export const showLocalTimes = (): void => {
  for (const time of document.querySelectorAll("time")) {
    time.textContent = new Date(time.dateTime).toLocaleString(language(), { dateStyle: "long", timeStyle: "short" })
  }
}

/** Without https there is no clipboard, but the old way: a selected field. */
const copySelected = (text: string): void => {
  const field = make("textarea", { class: "sr", readonly: "" })
  field.value = text
  document.body.append(field)
  field.select()
  document.execCommand("copy")
  field.remove()
}

/** Copies a text when a button is pressed. */
export const copyOnClick = (button: HTMLButtonElement, text: () => string, copied: string): void => {
  const label = button.textContent
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text())
    } catch {
      copySelected(text())
      button.focus()
    }
    // A button whose words change is announced.
    button.setAttribute("aria-live", "polite")
    button.textContent = copied
    setTimeout(() => {
      button.textContent = label
    }, 2500)
  })
}

/** The bar, its numbers, and the button that cancels. */
export interface Running {
  readonly start: (status: string) => void
  readonly status: (status: string) => void
  readonly advance: (done: number, total: number | undefined) => void
  /** Says why nothing is transferred now, until something is. */
  readonly hold: (why: string, reason?: string) => void
  readonly stop: () => void
}

/** The rate is that of the last seconds. */
const RATE_MILLIS = 5000
/** Without any progress for so long, the page says so. */
const STALLED_MILLIS = 8000

export const running = (words: Words, away: string, cancel: () => void): Running => {
  const part = get(".running")
  const bar = get<HTMLProgressElement>("progress", part)
  const [status, numbers, left] = [get("#status"), get("#numbers"), get("#left")]
  let samples: Array<readonly [at: number, bytes: number]> = []
  let said = -1
  let about = ""
  /** Whether the page says why nothing is transferred. */
  let isHeld = false
  let timer: ReturnType<typeof setInterval> | undefined
  get("#cancel").addEventListener("click", cancel)

  const say = (text: string, reason?: string) => tell(status, text, reason)
  const hold = (why: string, reason?: string) => {
    isHeld = true
    say(why, reason)
    left.textContent = ""
  }
  const watch = () => {
    if (!navigator.onLine) hold(away)
    else if (!isHeld && performance.now() - (samples.at(-1)?.[0] ?? 0) > STALLED_MILLIS) hold(words.stalled)
  }
  return {
    start: (text) => {
      samples = [[performance.now(), 0]]
      said = -1
      isHeld = false
      about = text
      bar.removeAttribute("value")
      numbers.textContent = left.textContent = ""
      show(part, true)
      say(text)
      timer = setInterval(watch, 1000)
    },
    status: (text) => {
      about = text
      said = -1
      isHeld = false
      say(text)
    },
    hold,
    advance: (done, total) => {
      const now = performance.now()
      const last = samples.at(-1)!
      if (done < last[1]) samples = []
      const isMoving = done !== last[1]
      if (isMoving) samples.push([now, done])
      while (samples.length > 2 && now - samples[0]![0] > RATE_MILLIS) samples.shift()
      if (total === undefined) {
        numbers.textContent = size(done)
        return
      }
      bar.max = total
      bar.value = done
      numbers.textContent = fill(words.numbers, { done: size(done), total: size(total) })
      const [from, to] = [samples[0], samples.at(-1)]
      const rate = from === undefined || to === undefined || to[0] - from[0] < 500
        ? 0
        : (to[1] - from[1]) / (to[0] - from[0]) * 1000
      left.textContent = rate <= 0 || done >= total
        ? ""
        : fill(words.left, { rate: size(rate), time: duration((total - done) / rate) })
      const percent = Math.floor(done / total * 100)
      // A screen reader hears every quarter, not every packet.
      if (percent - said >= 25 || isHeld && isMoving) {
        said = percent
        isHeld = false
        const text = new Intl.NumberFormat(language(), { style: "percent" }).format(percent / 100)
        // Who sees the bar would see an older number.
        status.replaceChildren(about, make("span", { class: "sr" }, fill(words.progress, { what: "", percent: text })))
      }
    },
    stop: () => {
      clearInterval(timer)
      show(part, false)
    }
  }
}
