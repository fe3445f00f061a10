/** Files by the button, a drop or a paste; a dropped folder gives its files with their paths. */
import { fill, get, isolated, make, show, size, type Words } from "./dom.ts"

export interface Chosen {
  readonly file: File
  /** Its name, with the folders above it where a folder was chosen or dropped. */
  readonly path: string
}

/**
 * The bytes of a file that does not change meanwhile: Chromium compares its time only where it begins to read, so its end is read
 * again. Firefox compares nothing, and notices a file that is shorter or gone.
 */
export const wholeOf = (file: Blob): ReadableStream<Uint8Array<ArrayBuffer>> =>
  file.stream().pipeThrough(
    new TransformStream({ flush: () => file.slice(-1).arrayBuffer().then(() => undefined) })
  )

const readFolder = async (folder: FileSystemDirectoryEntry): Promise<Array<Chosen>> => {
  const reader = folder.createReader()
  const entries: Array<FileSystemEntry> = []
  // It gives a hundred at a time.
  for (;;) {
    const some = await new Promise<Array<FileSystemEntry>>((resolve, reject) => reader.readEntries(resolve, reject))
    if (some.length === 0) break
    entries.push(...some)
  }
  return (await Promise.all(entries.map(readEntry))).flat()
}

const readEntry = async (entry: FileSystemEntry): Promise<Array<Chosen>> => {
  if (entry.isDirectory) return readFolder(entry as FileSystemDirectoryEntry)
  const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))
  return [{ file, path: entry.fullPath.replace(/^\//, "") || file.name }]
}

const plain = (files: Iterable<File>): Array<Chosen> =>
  Array.from(files, (file) => ({ file, path: file.webkitRelativePath || file.name }))

/** What a drop or a paste holds. */
const read = async ({ files, items }: DataTransfer): Promise<Array<Chosen>> => {
  // The items are gone after the event, so they are read before the first wait.
  const entries = Array.from(items, (item) => item.kind === "file" ? item.webkitGetAsEntry?.() : null)
  const all = plain(files)
  if (!entries.some((entry) => entry?.isDirectory === true)) return all
  return (await Promise.all(entries.map((entry) => entry == null ? [] : readEntry(entry)))).flat()
}

export interface Choice {
  readonly files: () => ReadonlyArray<Chosen>
  /** Removes the first files, which are sent. */
  readonly drop: (count: number) => void
}

export const choice = (words: Words, options: {
  readonly isBusy: () => boolean
  readonly onChange: () => void
  /** What was dropped or pasted cannot be read. */
  readonly onUnreadable: () => void
  readonly onText: (text: string) => void
}): Choice => {
  const input = get<HTMLInputElement>("#file")
  const drop = get(".drop")
  const list = get("#chosen-list")
  let chosen: ReadonlyArray<Chosen> = []
  input.multiple = true

  const render = () => {
    const total = chosen.reduce((sum, { file }) => sum + file.size, 0)
    get("#chosen").textContent = chosen.length === 0
      ? ""
      : fill(words.chosen, { count: chosen.length, size: size(total) })
    list.replaceChildren(...chosen.map((one) => {
      const remove = make("button", {
        type: "button",
        class: "button quiet small",
        "aria-label": fill(words.remove, { name: one.path })
      }, "×")
      remove.addEventListener("click", () => {
        set(chosen.filter((other) => other !== one))
        input.focus()
      })
      return make(
        "li",
        {},
        make("span", { class: "name" }, isolated(one.path)),
        make("span", { class: "hint" }, size(one.file.size)),
        remove
      )
    }))
    show(get("#chosen-part"), chosen.length > 0)
    show(get("#archive-part"), chosen.length > 1)
    options.onChange()
  }
  const set = (files: ReadonlyArray<Chosen>) => {
    chosen = files
    render()
  }
  const add = (files: ReadonlyArray<Chosen>) => {
    if (options.isBusy() || files.length === 0) return
    if (files.some(({ file, path }) => path !== file.name)) get<HTMLInputElement>("#archive").checked = true
    set([...chosen, ...files])
  }

  const folder = make("input", { type: "file", webkitdirectory: "" })
  const button = get<HTMLButtonElement>("#folder")
  button.addEventListener("click", () => folder.click())
  // A telephone may have none.
  if (!("webkitdirectory" in folder)) button.remove()
  for (const one of [input, folder]) {
    one.addEventListener("change", () => {
      add(plain(one.files ?? []))
      // The same file can be chosen again; the list has it.
      one.value = ""
    })
  }
  let depth = 0
  const over = (event: DragEvent, change: number) => {
    if (event.dataTransfer?.types.includes("Files") !== true) return
    event.preventDefault()
    depth = change === 0 ? 0 : depth + change
    drop.classList.toggle("over", depth > 0 && !options.isBusy())
  }
  addEventListener("dragenter", (event) => over(event, 1))
  addEventListener("dragleave", (event) => over(event, -1))
  addEventListener("dragover", (event) => {
    if (event.dataTransfer?.types.includes("Files") === true) event.preventDefault()
  })
  const take = (data: DataTransfer) => read(data).then(add, options.onUnreadable)
  addEventListener("drop", (event) => {
    over(event, 0)
    if (event.dataTransfer !== null) void take(event.dataTransfer)
  })
  addEventListener("paste", (event) => {
    if (event.target instanceof Element && event.target.matches("input, textarea")) return
    const { clipboardData } = event
    if (clipboardData === null) return
    const text = clipboardData.getData("text")
    if (clipboardData.files.length > 0) void take(clipboardData)
    else if (text !== "" && !options.isBusy()) options.onText(text)
  })
  return { files: () => chosen, drop: (count) => set(chosen.slice(count)) }
}
