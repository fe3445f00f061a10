/** Runs Node with these arguments to its end, and reports how long that took. */
import { spawnSync } from "node:child_process"

const began = performance.now()
const { status } = spawnSync(process.execPath, process.argv.slice(2), { stdio: "ignore" })
const wallS = (performance.now() - began) / 1000
if (status !== 0) process.exit(1)
console.log(JSON.stringify({ wallS }))
