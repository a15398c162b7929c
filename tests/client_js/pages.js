/**
 * What the documentation says, for comparison with the code.
 */
import { readFileSync } from "node:fs";

const ROOT = new URL("../../", import.meta.url);

/** The text of a page of the repository. */
export const page = (path) => readFileSync(new URL(path, ROOT), "utf8");

/** Its blocks of code in this language, in order. */
export const blocks = (path, language) =>
  [...page(path).matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, "gms"))].map(
    ([, code]) => code,
  );

/** What the tables under a heading name in their first column; of `name(...)`, the name. */
export const named = (path, heading) => {
  const [, section] = page(path).split(`\n## ${heading}\n`);
  const cells = section.split("\n## ")[0].matchAll(/^\|([^|]+)\|/gm);
  return [...cells].flatMap(([, cell]) => [...cell.matchAll(/`([\w.]+)/g)].map(([, name]) => name));
};
