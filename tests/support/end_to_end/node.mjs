/**
 * The driver in Node: a line of JSON on standard input is a request, one on standard output is what
 * it says. Each request names the `file` that keeps the session between two runs.
 */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { connect } from "../../../client_js/dist/index.js";
import { drive } from "./driver.mjs";

let file;
const storage = {
  load() {
    try {
      return JSON.parse(readFileSync(file, "utf8"));
    } catch {
      return null;
    }
  },
  save: (session) => writeFileSync(file, JSON.stringify(session)),
  clear: () => rmSync(file, { force: true }),
};

const say = (what) => process.stdout.write(JSON.stringify(what) + "\n");
const ask = drive(connect, { storage }, say);
createInterface({ input: process.stdin })
  .on("line", (line) => {
    const request = JSON.parse(line);
    file = request.file;
    ask(request);
  })
  .on("close", () => process.exit());
