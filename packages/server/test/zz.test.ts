import { it } from "@effect/vitest"
import { run } from "./crash/crash.ts"
it("x", async () => {
  let t = performance.now()
  const c0 = process.cpuUsage()
  const s = await run({ kills: 5, servers: 10, within: 12000, onRound: (r) => { const n = performance.now(); const c = process.cpuUsage(c0); console.log("round", r, Math.round(n - t), Math.round(c.user / 1000), Object.keys(process.env).filter((k) => /NODE|VITE/.test(k)).map((k) => k + "=" + process.env[k]).join(" ").slice(0, r === 1 ? 600 : 0)); t = n } })
  console.log("end", Math.round(performance.now() - t), JSON.stringify(s), process.cpuUsage(c0))
}, 100000)
