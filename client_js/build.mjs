// dist/*.js and *.d.ts, one module per source file, and for pages without a bundler all in one file:
// dist/keystay.min.js, or in MAGE's words dist/mage.min.js. Fails if one outgrows what a page should
// have to load for this.
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const BUNDLES = [
  { name: "keystay", entry: "index", budgetBytes: 13 * 1024 },
  { name: "mage", entry: "mage", budgetBytes: 14 * 1024 },
];

process.chdir(import.meta.dirname);
rmSync("dist", { recursive: true, force: true });
execFileSync(process.execPath, ["node_modules/typescript/bin/tsc"], { stdio: "inherit" });
for (const { name, entry, budgetBytes } of BUNDLES) {
  const outfile = `dist/${name}.min.js`;
  await build({
    absWorkingDir: import.meta.dirname,
    entryPoints: [`dist/${entry}.js`],
    outfile,
    bundle: true,
    format: "esm",
    target: "es2022",
    minify: true,
    mangleProps: /^_[a-z]/,
    legalComments: "none",
    logLevel: "warning",
  });
  const size = gzipSync(readFileSync(outfile), { level: 9 }).length;
  console.log(`${name}.min.js: ${size} bytes gzipped, ${budgetBytes} allowed`);
  if (size > budgetBytes) process.exitCode = 1;
}
