/**
 * Checks a host against the contract:
 *
 *     pnpm conformance https://files.example API_KEY [WORD]
 *
 * The key may also be in FILEIO_API_KEY, where no list of processes shows it. With a word, only the checks with it in their
 * name run. Uploads are small, and removed.
 */
import { allChecks } from "./allChecks.ts"

const [url, given, word = ""] = process.argv.slice(2)
const key = given ?? process.env["FILEIO_API_KEY"]

if (url === undefined || key === undefined || !/^https?:\/\//.test(url)) {
  process.stderr.write("usage: pnpm conformance URL API_KEY [WORD]\n")
  process.exit(2)
}

const host = { url: url.replace(/\/+$/, ""), key }
const counts = { passed: 0, failed: 0, skipped: 0 }

for (const { about, run, says } of allChecks) {
  const name = `${about}: ${says}`
  if (!name.includes(word)) continue
  try {
    const skipped = await run(host)
    if (skipped === undefined) counts.passed++
    else counts.skipped++
    process.stdout.write(skipped === undefined ? `ok    ${name}\n` : `skip  ${name} (${skipped})\n`)
  } catch (cause) {
    counts.failed++
    const text = cause instanceof Error ? cause.message : String(cause)
    process.stdout.write(`FAIL  ${name}\n        ${text.replaceAll(key, "…").replaceAll("\n", "\n        ")}\n`)
  }
}

process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`)
process.exitCode = counts.failed === 0 ? 0 : 1
