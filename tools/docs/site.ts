/**
 * Builds the site of the documentation into `docs/site` with VitePress: the Markdown files of the repository as pages, and the
 * API reference beside them. The code in them is checked by `docs.test.ts`; here a link to a page that is not there fails the
 * build.
 */
import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises"
import { dirname, join, normalize } from "node:path"
import { must, root } from "../packages/pack.ts"
import { program } from "../packages/programs.ts"

/** The pages: path of the document in the repository, and of the page. */
const PAGES: Readonly<Record<string, string>> = {
  "README.md": "index",
  "docs/one-time-promise.md": "one-time-promise",
  "docs/encryption.md": "encryption",
  "docs/network.md": "network",
  "docs/comparison.md": "comparison",
  "docs/scaling.md": "scaling",
  "docs/file-io-api.md": "file-io-api",
  "docs/glossary.md": "glossary",
  "examples/README.md": "examples",
  "packages/core/README.md": "packages/core",
  "packages/client/README.md": "packages/client",
  "packages/platform-node/README.md": "packages/platform-node",
  "packages/promise/README.md": "packages/promise",
  "packages/server/README.md": "packages/server",
  "packages/cli/README.md": "packages/cli",
  "ARCHITECTURE.md": "architecture",
  "SECURITY.md": "security",
  "CONTRIBUTING.md": "contributing",
  "CHANGELOG.md": "changelog"
}

const page = (text: string, link: string) => ({ text, link })

const packages = ["core", "client", "platform-node", "promise", "server", "cli"]

const SIDEBAR = [
  {
    text: "Guide",
    items: [
      page("Start", "/"),
      page("Errors", "/#errors"),
      page("Examples", "/examples"),
      page("Promises", "/packages/promise"),
      page("Command line", "/packages/cli"),
      page("Server", "/packages/server"),
      page("Proxies, certificates", "/network"),
      page("Comparison", "/comparison")
    ]
  },
  {
    text: "Concepts",
    items: [
      page("The promise", "/one-time-promise"),
      page("Resuming", "/one-time-promise#resume"),
      page("The limit", "/architecture#why-the-limit-holds"),
      page("Encryption", "/encryption"),
      page("Several servers", "/scaling"),
      page("Architecture", "/architecture")
    ]
  },
  {
    text: "Reference",
    items: [
      { text: "API of the packages", link: "/api/index.html", target: "_self" },
      page("The HTTP contract", "/file-io-api"),
      ...packages.map((name) => page(name, `/packages/${name}`)),
      page("Glossary", "/glossary"),
      page("Security", "/security"),
      page("Changes", "/changelog"),
      page("Contributing", "/contributing")
    ]
  }
]

const CONFIG = {
  title: "effect-fileio",
  description: "One-time file sharing over the file.io API, in Effect",
  // Pages work wherever the site is put, such as below the name of a repository.
  base: process.env["DOCS_BASE"] ?? "/",
  cleanUrls: true,
  themeConfig: { sidebar: SIDEBAR, search: { provider: "local" }, outline: "deep" },
  markdown: { html: false }
}

/** Links between documents become links between pages; one to another file of the repository becomes its text. */
const withPageLinks = (document: string, text: string): string =>
  text.replaceAll(/(?<!!)\[([^\]]+)\]\((?!https?:|mailto:|#)([^)\s]+)\)/g, (_, label: string, target: string) => {
    const [path = "", anchor] = target.split("#")
    const file = normalize(join(dirname(document), path)).replaceAll("\\", "/").replace(/\/$/, "")
    const found = PAGES[file] ?? PAGES[`${file}/README.md`]
    if (found === undefined) return label
    return `[${label}](/${found === "index" ? "" : found}${anchor === undefined ? "" : `#${anchor}`})`
  })

const modules = await program("vitepress")
// `program` says that it cannot be installed here, and why.
if (modules === undefined) process.exit(0)
// Beside the modules, which its pages import.
const folder = join(modules, "..", "site")
await rm(folder, { recursive: true, force: true })
for (const [document, name] of Object.entries(PAGES)) {
  const path = join(folder, `${name}.md`)
  await mkdir(dirname(path), { recursive: true })
  const text = withPageLinks(document, await readFile(join(root, document), "utf8"))
  await writeFile(path, text.replaceAll("(docs/quickstart.svg)", "(/quickstart.svg)"))
}
await mkdir(join(folder, "public"))
await cp(join(root, "docs/quickstart.svg"), join(folder, "public/quickstart.svg"))
await mkdir(join(folder, ".vitepress"))
await writeFile(
  join(folder, ".vitepress/config.mjs"),
  `import { slug } from "./slug.mjs"
const config = ${JSON.stringify(CONFIG, undefined, 2)}
config.markdown.anchor = { slugify: slug }
config.markdown.toc = { slugify: slug }
export default config
`
)
// As on GitHub, for which the documents are written.
await writeFile(
  join(folder, ".vitepress/slug.mjs"),
  "export const slug = (text) => text.trim().toLowerCase().replaceAll(/[^\\p{L}\\p{N}\\p{M} _-]/gu, \"\").replaceAll(\" \", \"-\")\n"
)
const out = join(root, "docs/site")
await rm(out, { recursive: true, force: true })
await must(process.execPath, [join(modules, "vitepress/bin/vitepress.js"), "build", folder, "--outDir", out], {
  cwd: folder
})
await must(process.execPath, [join(root, "tools/docs/api.ts"), "--out", join(out, "api")], { cwd: root })
process.stdout.write("The site is in docs/site\n")
