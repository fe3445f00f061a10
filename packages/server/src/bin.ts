#!/usr/bin/env node
/**
 * The server as a program; `fileio-server --help` describes it. What it needs is loaded only on a Node that has it.
 *
 * @since 0.1.0
 */
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)

if (major < 22 || (major === 22 && minor < 19)) {
  process.stderr.write(`fileio-server: Node ${process.versions.node} is too old; use Node 22.19 or newer\n`)
  process.exitCode = 1
} else {
  // Each upload waits for syncs of the disk in a thread of the system. With Node's four, no more than four of them share one;
  // the threads start with the first use.
  const { env } = process
  env["UV_THREADPOOL_SIZE"] ??= "32"
  const { main } = await import("./internal/cli/program.ts")
  main(process.argv.slice(2), env)
}
