import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { fileURLToPath, pathToFileURL } from "node:url"
import { defineConfig, type Plugin } from "vite"

const resolve = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** What the server takes for a team's host alone, such as S3: "fileio serve" never asks for it. */
const optional = Object.keys(
  createRequire(import.meta.url)("@effect-fileio/server/package.json").peerDependenciesMeta ?? {}
)

/** `export *` from a CommonJS package gives nothing when it is bundled, so its names are written out. */
const undici: Plugin = {
  name: "undici",
  transform: (_, id) => {
    if (!/platform-node\/(?:src|dist)\/Undici\.[jt]s$/.test(id)) return undefined
    const names = Object.keys(createRequire(id)("undici")).filter((name) => name !== "default" && /^\w+$/.test(name))
    return `import Undici from "undici"\nexport const { ${names.join(", ")} } = Undici\nexport default Undici\n`
  }
}

/** The server reads what its pages load from a file beside its sources, which the program does not have: it goes into it. */
const assets: Plugin = {
  name: "assets",
  transform: (code, id) => {
    if (!/server\/(?:src|dist)\/internal\/web\/assets\.[jt]s$/.test(id)) return undefined
    const pages = readFileSync(new URL("../../../web/pages.json", pathToFileURL(id)), "utf8")
    const inlined = code.replace(
      /readFileSync\(new URL\("[^"]*\/web\/pages\.json", import\.meta\.url\), "utf8"\)/,
      () => JSON.stringify(pages)
    )
    if (inlined === code) throw new Error("the server reads its assets in another way now")
    return inlined
  }
}

/**
 * The program as it is published: with everything it needs in it, so that it starts quickly and installs alone. What only
 * one command needs is a chunk of its own.
 */
export default defineConfig({
  root: resolve("."),
  logLevel: "warn",
  plugins: [undici, assets],
  ssr: { noExternal: true },
  build: {
    ssr: true,
    outDir: resolve("dist"),
    emptyOutDir: true,
    target: "node22",
    minify: false,
    license: { fileName: "LICENSES.md" },
    rolldownOptions: {
      // The server starts its catalog's thread from a file beside its own code.
      input: { fileio: resolve("src/bin.ts"), sqliteThread: resolve("../server/src/internal/sql/sqliteThread.ts") },
      external: (id) => optional.some((name) => id === name || id.startsWith(`${name}/`)),
      output: { entryFileNames: "[name].js", chunkFileNames: "[name]-[hash].js" }
    }
  }
})
