#!/usr/bin/env node
/**
 * The server as a program; see `fileio-server --help`.
 *
 * @since 0.1.0
 */
import { main } from "./internal/cli/program.ts"

main(process.argv.slice(2), process.env)
