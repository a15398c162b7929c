// dist/*.js and *.d.ts, one module per source file, and dist/keystay.min.js, all in one file for a
// page without a bundler. Fails if the latter outgrows what a page should have to load for this.
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const BUDGET_BYTES = 12 * 1024;

process.chdir(import.meta.dirname);
rmSync("dist", { recursive: true, force: true });
execFileSync(process.execPath, ["node_modules/typescript/bin/tsc"], { stdio: "inherit" });
await build({
  absWorkingDir: import.meta.dirname,
  entryPoints: ["dist/index.js"],
  outfile: "dist/keystay.min.js",
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  mangleProps: /^_[a-z]/,
  legalComments: "none",
  logLevel: "warning",
});

const size = gzipSync(readFileSync("dist/keystay.min.js"), { level: 9 }).length;
console.log(`keystay.min.js: ${size} bytes gzipped, ${BUDGET_BYTES} allowed`);
process.exit(size > BUDGET_BYTES ? 1 : 0);
