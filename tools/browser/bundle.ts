/** Bundles of core and client for browsers, and their sizes. */
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { build } from "vite"

/** The code of a bundle. `external` keeps `effect` out of it. */
export const bundle = async (options: { readonly external: boolean }): Promise<string> => {
  const result = await build({
    root: import.meta.dirname,
    configFile: false,
    logLevel: "warn",
    build: {
      write: false,
      minify: true,
      target: "es2022",
      modulePreload: false,
      rolldownOptions: {
        input: join(import.meta.dirname, "app.ts"),
        external: options.external ? /^effect(?:\/|$)/ : [],
        output: { minify: true }
      }
    }
  })
  const outputs = Array.isArray(result) ? result : [result]
  const chunks = outputs.flatMap((output) => "output" in output ? output.output : [])
  return chunks.map((chunk) => chunk.type === "chunk" ? chunk.code : "").join("\n")
}

/** Bytes of a text after gzip, as a host would send it. */
export const gzipped = (code: string): number => gzipSync(code, { level: 9 }).length
