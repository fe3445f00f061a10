import { join } from "node:path"
import { must, pack } from "../../tools/packages/pack.ts"

/** Packs the command line as it is published, unpacks it into a folder, and gives the path of its program. */
export const unpackFileio = async (folder: string): Promise<string> => {
  const packed = await pack(join(folder, "tarballs"))
  const cli = packed.find(({ manifest }) => manifest.name === "@effect-fileio/cli")!
  await must("tar", ["-xzf", cli.tarball, "-C", folder], { cwd: folder })
  const program = join(folder, "package", "dist", "fileio.js")
  const printed = await must(process.execPath, [program, "--version"], { cwd: folder })
  if (!printed.includes(cli.manifest.version)) throw new Error(`fileio --version printed ${printed}`)
  return program
}
