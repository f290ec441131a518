/** `stunmesh-ts schema`: the JSON Schema of the configuration file, for editors. */
import { createJsonSchema } from "../config/json-schema.ts";
import { plugins } from "../plugins/index.ts";

/** Prints it. */
export function printSchema(): number {
  process.stdout.write(schemaText());
  return 0;
}

/** The schema as a file. */
export function schemaText(): string {
  const schemas = Object.fromEntries(Object.entries(plugins).map(([kind, { schema }]) => [kind, schema]));
  return `${JSON.stringify(createJsonSchema(schemas), null, 2)}\n`;
}
