/**
 * Writes the API reference to `docs/api`, from the doc comments. TypeDoc has its own TypeScript, since it uses the compiler's
 * JavaScript API, which TypeScript 7 no longer has.
 */
import { join } from "node:path"
import { must, root } from "../packages/pack.ts"

const typedoc = join(root, "tools/node_modules/.bin/typedoc")
await must(typedoc, ["--options", join(root, "tools/docs/typedoc.json"), ...process.argv.slice(2)], { cwd: root })
process.stdout.write("The API reference is in docs/api/index.html\n")
