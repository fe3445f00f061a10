/** The page's elements, its words, and how it shows sizes and times. */
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

const MOST_CHARACTERS = 84
const END_CHARACTERS = 24

/** A file's name, isolated so that it cannot change the direction of the text around it; a long one keeps its end. */
export const isolated = (name: string): HTMLElement => {
  const characters = Array.from(name)
  return characters.length <= MOST_CHARACTERS
    ? make("bdi", {}, name)
    : make(
      "bdi",
      { title: name },
      `${characters.slice(0, MOST_CHARACTERS - END_CHARACTERS).join("")}…${characters.slice(-END_CHARACTERS).join("")}`
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
    unitDisplay: unit === 0 ? "long" : "short",
    maximumFractionDigits: unit === 0 || value >= 99.5 ? 0 : 1
  }).format(value)
}

/** Such as `3 minutes`. */
const duration = (seconds: number): string => {
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

/** Copies a text when a button is pressed. */
export const copyOnClick = (button: HTMLButtonElement, text: () => string, copied: string, select: Node): void => {
  const label = button.textContent
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text())
    } catch {
      // Without https there is no clipboard but the old way.
      if (select instanceof HTMLInputElement) select.select()
      else getSelection()?.selectAllChildren(select)
      document.execCommand("copy")
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
  readonly stop: () => void
}

/** The rate is that of the last seconds. */
const RATE_MILLIS = 5000
/** Without any progress for so long, the connection counts as away. */
const AWAY_MILLIS = 8000

export const running = (words: Words, away: string, cancel: () => void): Running => {
  const part = get(".running")
  const bar = get<HTMLProgressElement>("progress", part)
  const [status, numbers, left] = [get("#status"), get("#numbers"), get("#left")]
  let samples: Array<readonly [at: number, bytes: number]> = []
  let said = -1
  let about = ""
  let timer: ReturnType<typeof setInterval> | undefined
  get("#cancel").addEventListener("click", cancel)

  const say = (text: string) => {
    if (status.textContent !== text) status.textContent = text
  }
  const isAway = () => !navigator.onLine || performance.now() - (samples.at(-1)?.[0] ?? 0) > AWAY_MILLIS
  const watch = () => {
    if (!isAway()) return
    say(away)
    left.textContent = ""
  }
  return {
    start: (text) => {
      samples = [[performance.now(), 0]]
      said = -1
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
      say(text)
    },
    advance: (done, total) => {
      const now = performance.now()
      const last = samples.at(-1)!
      if (done < last[1]) samples = []
      if (done !== last[1]) samples.push([now, done])
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
      if (percent - said >= 25 || status.textContent === away) {
        said = percent
        say(`${about}, ${percent} %`)
      }
    },
    stop: () => {
      clearInterval(timer)
      show(part, false)
    }
  }
}
