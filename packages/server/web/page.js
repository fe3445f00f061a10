"use strict"
{
  const find = (selector, root = document) => root.querySelector(selector)
  const show = (element, shown) => {
    if (element) element.hidden = !shown
  }
  const size = (bytes) => {
    let unit = 0
    for (; bytes >= 999.5 && unit < 4; unit++) bytes /= 1000
    return (unit === 0 || bytes >= 99.5 ? Math.round(bytes) : bytes.toFixed(1)) + " " +
      ["bytes", "kB", "MB", "GB", "TB"][unit]
  }

  // Without this script, times are shown in UTC.
  const localTimes = () => {
    for (const time of document.querySelectorAll("time")) {
      time.textContent = new Date(time.dateTime).toLocaleString(document.documentElement.lang, {
        dateStyle: "long",
        timeStyle: "short"
      })
    }
  }

  const copyButtons = () => {
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.hidden = false
      button.addEventListener("click", async () => {
        const source = find(button.dataset.copy)
        const said = find("#said")
        try {
          await navigator.clipboard.writeText(source.value ?? source.textContent)
        } catch {
          // Without https there is no clipboard but the old way.
          if (source.select) source.select()
          else getSelection().selectAllChildren(source)
          document.execCommand("copy")
        }
        button.textContent = "Copied"
        if (said) said.textContent = "Copied to the clipboard"
        setTimeout(() => {
          button.textContent = button.dataset.label
          if (said) said.textContent = ""
        }, 2500)
      })
    }
  }

  const uploads = () => {
    const form = find("form#upload")
    if (!form) return
    const { file: input, text, expires, maxDownloads } = form.elements
    const drop = find(".drop")
    const running = find(".running")
    const problem = find("#problem")
    const status = find("#status")
    const bar = find("progress")
    const most = Number(form.dataset.most)
    let request

    const complain = (words) => {
      problem.textContent = words
      show(problem, words !== "")
    }
    const take = (files, note = "") => {
      if (request || files.length === 0) return
      const one = new DataTransfer()
      one.items.add(files[0])
      input.files = one.files
      input.dispatchEvent(new Event("change"))
      if (files.length > 1) {
        note = "One file at a time: the first one is taken. To send several, pack them into an archive."
      }
      find("#chosen").textContent = files[0].name + ", " + size(files[0].size) + (note && ". " + note)
    }
    const quote = (word) => /^[\w@%+=:,./-]+$/.test(word) ? word : "'" + word.replaceAll("'", "'\\''") + "'"
    const curl = () => {
      const file = input.files[0]
      const line = ["curl", "-F", quote("file=@" + (file ? file.name : "FILE"))]
      for (const field of [expires, maxDownloads]) {
        if (field && !field.selectedOptions[0].defaultSelected) line.push("-F", quote(field.name + "=" + field.value))
      }
      find("#curl").textContent = [...line, find("#curl").dataset.url].join(" ")
    }

    form.addEventListener("change", () => {
      complain("")
      curl()
    })
    input.addEventListener("change", () => {
      const file = input.files[0]
      find("#chosen").textContent = file ? file.name + ", " + size(file.size) : ""
      complain(
        file && file.size > most
          ? "This file has " + size(file.size) + "; at most " + size(most) + " can be uploaded."
          : ""
      )
      curl()
    })

    let depth = 0
    const over = (event, change) => {
      if (!event.dataTransfer?.types.includes("Files")) return
      event.preventDefault()
      depth = change === 0 ? 0 : depth + change
      drop.classList.toggle("over", depth > 0 && !request)
    }
    const page = new AbortController()
    const on = (name, listener) => addEventListener(name, listener, { signal: page.signal })
    on("dragenter", (event) => over(event, 1))
    on("dragleave", (event) => over(event, -1))
    on("dragover", (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault())
    on("drop", (event) => {
      over(event, 0)
      if (event.dataTransfer?.files.length) take(event.dataTransfer.files)
    })
    on("paste", (event) => {
      if (event.target.matches("textarea")) return
      const { files } = event.clipboardData
      const words = event.clipboardData.getData("text")
      if (files.length) take(files, "Pasted.")
      else if (words) take([new File([words], "text.txt", { type: "text/plain" })], "Pasted.")
    })
    on("beforeunload", (event) => request && event.preventDefault())

    const end = (words = "") => {
      request = undefined
      show(running, false)
      show(find("#fields"), true)
      complain(words)
    }

    form.addEventListener("submit", (event) => {
      event.preventDefault()
      if (request) return
      const file = input.files[0]
      if (!file && !text.value) {
        complain("Choose a file first, or write a text.")
        input.focus()
        return
      }
      if (file && file.size === 0) return complain("This file is empty. There is nothing to send.")
      if (file && file.size > most) {
        return complain("This file has " + size(file.size) + "; at most " + size(most) + " can be uploaded.")
      }

      // Settings go before the file, so that a wrong one is refused before the bytes are sent.
      const body = new FormData()
      for (const field of [expires, maxDownloads]) if (field) body.append(field.name, field.value)
      if (file) body.append("file", file)
      else body.append("file", new File([text.value], "text.txt", { type: "text/plain" }))

      request = new XMLHttpRequest()
      complain("")
      show(find("#fields"), false)
      show(running, true)
      bar.removeAttribute("value")
      status.textContent = "Uploading"
      let told = -1
      request.upload.addEventListener("progress", ({ loaded, total }) => {
        bar.max = total
        bar.value = loaded
        const percent = Math.floor(loaded / total * 100)
        find("#numbers").textContent = size(loaded) + " of " + size(total)
        // A screen reader hears every quarter, not every packet.
        if (percent - told >= 25) status.textContent = "Uploading, " + (told = percent) + " %"
      })
      request.addEventListener("load", () => {
        const answer = request.response
        const ok = request.status === 200 && answer && find("main", answer)
        if (!ok) {
          return end(
            (answer && find("#problem", answer)?.textContent) ||
              "The host answered with an error (" + request.status + "). Nothing was uploaded."
          )
        }
        const address = request.responseURL
        request = undefined
        page.abort()
        find("main").replaceWith(find("main", answer))
        document.title = answer.title
        history.pushState(null, "", address)
        enhance()
        find("h1").focus()
      })
      request.addEventListener("error", () =>
        end(
          "The connection broke, so the file may or may not have arrived. You can upload it again; a copy without its link is deleted when it expires."
        ))
      request.addEventListener("abort", () => end("The upload was cancelled."))
      request.open("POST", form.action)
      request.setRequestHeader("accept", "text/html")
      request.responseType = "document"
      request.send(body)
    })
    find("#cancel").addEventListener("click", () => request?.abort())
    curl()
  }

  const downloads = () => {
    find("form#download")?.addEventListener("submit", () => {
      show(find("#begun"), true)
    })
  }

  const enhance = () => {
    for (const element of document.querySelectorAll("[data-script]")) element.hidden = false
    localTimes()
    copyButtons()
    uploads()
    downloads()
  }
  addEventListener("popstate", () => location.reload())
  enhance()
}
