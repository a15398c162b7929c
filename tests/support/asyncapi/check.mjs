// Reads an AsyncAPI document from standard input, and prints what its parser finds wrong.
import { readFileSync } from "node:fs";
import { Parser } from "@asyncapi/parser";

const { document, diagnostics } = await new Parser().parse(readFileSync(0, "utf8"));
const wrong = diagnostics.filter((each) => each.severity <= 1);
for (const each of wrong) console.log(`${each.path.join(".")}: ${each.message}`);
console.log(`${document?.operations().length ?? 0} operations`);
process.exitCode = wrong.length ? 1 : 0;
