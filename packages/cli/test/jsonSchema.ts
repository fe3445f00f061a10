import { JsonSchema, Schema } from "effect"
import { fileURLToPath } from "node:url"
import * as JsonLine from "../src/JsonLine.ts"

export const path = fileURLToPath(new URL(`../schema/v${JsonLine.VERSION}.json`, import.meta.url))

/** The JSON Schema of a line, as it is kept in the repository. */
export const jsonSchema = (): string => {
  const { definitions, schema } = Schema.toJsonSchemaDocument(JsonLine.JsonLine)
  const whole = {
    $schema: JsonSchema.META_SCHEMA_URI_DRAFT_2020_12,
    title: `A line of fileio --json, version ${JsonLine.VERSION}`,
    description: "Within a version, fields and types are only added: ignore those you do not know.",
    ...schema,
    ...(Object.keys(definitions).length === 0 ? {} : { $defs: definitions })
  }
  return `${JSON.stringify(whole, null, 2)}\n`
}
