/**
 * Finds public exports with incomplete documentation: without a doc comment, a description, `@since` or `@category`.
 */
import { glob, readFile } from "node:fs/promises"
import { join } from "node:path"
import ts from "typescript"
import { root } from "../packages/pack.ts"

const nameOf = (statement: ts.Statement): string => {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map((declaration) => declaration.name.getText()).join(", ")
  }
  const { name } = statement as ts.DeclarationStatement
  return name?.getText() ?? "?"
}

const isExported = (statement: ts.Statement): boolean =>
  ts.canHaveModifiers(statement) &&
  (ts.getModifiers(statement) ?? []).some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)

const docOf = (node: ts.Node): { readonly text: string; readonly tags: ReadonlySet<string> } | undefined => {
  const docs = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc)
  const last = docs.at(-1)
  return last && {
    text: ts.getTextOfJSDocComment(last.comment) ?? "",
    tags: new Set((last.tags ?? []).map((tag) => tag.tagName.text))
  }
}

const problemsOf = (node: ts.Node): ReadonlyArray<string> => {
  const doc = docOf(node)
  if (doc === undefined) return ["a doc comment"]
  const problems: Array<string> = []
  if (doc.text.trim() === "") problems.push("a description")
  for (const tag of ["category", "since"]) if (!doc.tags.has(tag)) problems.push(`@${tag}`)
  return problems
}

/** A line for each gap in one module, such as `src/FileIo.ts:12 FileIo lacks @since`. */
export const gapsOf = (path: string, source: string): ReadonlyArray<string> => {
  const file = ts.createSourceFile(path, source, ts.ScriptTarget.Latest, true)
  const gaps: Array<string> = []
  const add = (node: ts.Node, name: string, problems: ReadonlyArray<string>) => {
    const { line } = file.getLineAndCharacterOfPosition(node.getStart())
    for (const problem of problems) gaps.push(`${path}:${line + 1} ${name} lacks ${problem}`)
  }
  if (!/^(?:\/\/[^\n]*\n)*\/\*\*(?:(?!\*\/)[^])*@since/.test(source)) {
    gaps.push(`${path} lacks a doc comment of the module`)
  }
  const seen = new Set<string>()
  for (const statement of file.statements) {
    if (ts.isExportDeclaration(statement)) {
      // What comes from another module has the comment of its declaration.
      if (statement.moduleSpecifier !== undefined || statement.exportClause === undefined) continue
      if (!ts.isNamedExports(statement.exportClause)) continue
      for (const element of statement.exportClause.elements) add(element, element.name.text, problemsOf(element))
      continue
    }
    if (!isExported(statement)) continue
    const name = nameOf(statement)
    // The first signature of a function is enough, and the schema of a type describes both.
    const isSecond = seen.has(name)
    seen.add(name)
    if (isSecond && ts.isFunctionDeclaration(statement)) continue
    add(statement, name, problemsOf(statement).filter((problem) => !isSecond || problem !== "a description"))
    if (ts.isInterfaceDeclaration(statement)) {
      for (const member of statement.members) {
        const isCall = ts.isMethodSignature(member) ||
          (ts.isPropertySignature(member) && member.type !== undefined && ts.isFunctionTypeNode(member.type))
        if (isCall && docOf(member) === undefined) {
          add(member, `${name}.${member.name?.getText() ?? "()"}`, ["a doc comment"])
        }
      }
    }
  }
  return gaps
}

/** The gaps in all public modules of all packages. */
export const gaps = async (): Promise<ReadonlyArray<string>> => {
  const files = await Array.fromAsync(glob("packages/*/src/{*,testing/*}.ts", { cwd: root }))
  const found: Array<string> = []
  for (const path of files.toSorted()) {
    const name = path.split("/").at(-1)
    // An index only re-exports modules, and the package "cli" has no modules to import.
    if (name === "index.ts" || name === "bin.ts" || path.startsWith("packages/cli/")) {
      continue
    }
    found.push(...gapsOf(path, await readFile(join(root, path), "utf8")))
  }
  return found
}
