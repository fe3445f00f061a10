/** Runs a program with its arguments to its end, and reports how long that took. */
import { spawnSync } from "node:child_process"

const [, , program, ...args] = process.argv
const began = performance.now()
const { status } = spawnSync(program!, args, { stdio: ["ignore", "ignore", "inherit"] })
const wallS = (performance.now() - began) / 1000
if (status !== 0) process.exit(1)
console.log(JSON.stringify({ wallS }))
