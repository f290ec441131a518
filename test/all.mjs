// `npm test`: everything that can be checked, on a fresh machine too. Stops at the first step that fails, says which one
// and how to run it alone. Needs Linux and root for the network laboratory; without them `npm run check` does the rest.
import { spawn } from "node:child_process";
import {
  ensureDebianPackages,
  ensureNodeModules,
  labCommands,
  requireNamespaces,
  requireNode,
  root,
} from "./setup.mjs";

const npmRun = (script) => ["npm", "run", "--silent", script];
/**
 * The limits end what hangs: a machine with other work takes several times as long as a quiet one. `alone` defaults to the
 * command itself; `tests` = the command is node's test runner and counts.
 */
const steps = [
  { name: "lint", argv: npmRun("lint"), limitMinutes: 5, alone: "npm run lint" },
  { name: "unused", argv: npmRun("unused"), limitMinutes: 5, alone: "npm run unused" },
  { name: "expressions", argv: npmRun("expressions"), limitMinutes: 5, alone: "npm run expressions" },
  { name: "compile", argv: npmRun("compile"), limitMinutes: 5, alone: "npm run compile" },
  { name: "unit tests", argv: ["node", "test/run.mjs", "unit"], limitMinutes: 15, alone: "npm run unit", counts: true },
  { name: "build", argv: npmRun("build"), limitMinutes: 5, alone: "npm run build" },
  {
    name: "laboratory",
    argv: ["node", "test/run.mjs", "lab"],
    limitMinutes: 20,
    alone: "sudo npm run lab",
    counts: true,
  },
  { name: "demo", argv: ["node", "test/lab/demo.mjs", "--check"], limitMinutes: 5, alone: "sudo npm run demo" },
];

const color = process.stdout.isTTY && !process.env.NO_COLOR;
const bold = (text) => (color ? `\x1b[1m${text}\x1b[0m` : text);
const started = performance.now();
const seconds = (since) => `${((performance.now() - since) / 1000).toFixed(1)} s`;

requireNode();
ensureNodeModules();
ensureDebianPackages(labCommands);
requireNamespaces({ command: "npm test" });

const results = [];
for (const [index, step] of steps.entries()) {
  console.log(bold(`[${index + 1}/${steps.length}] ${step.name}`));
  const stepStarted = performance.now();
  const { failure, output } = await run(step);
  if (failure) {
    console.error(bold(`\nFAILED: ${step.name} (${failure}). To run it alone: ${step.alone}`));
    process.exit(1);
  }
  console.log(`[${index + 1}/${steps.length}] ${step.name}: passed in ${seconds(stepStarted)}\n`);
  results.push(
    step.counts ? `${step.name} ${countOf(output, "pass")} passed, ${countOf(output, "fail")} failed` : step.name,
  );
}
console.log(bold(`All passed in ${seconds(started)}: ${results.join("; ")}`));

/** Runs a step in a process group of its own, so that its whole tree ends with it when it is out of time or interrupted. */
function run({ argv, limitMinutes }) {
  return new Promise((resolve) => {
    const child = spawn(argv[0], argv.slice(1), {
      cwd: root,
      detached: true,
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...(color ? { FORCE_COLOR: "1" } : {}) },
    });
    let failure;
    const stop = (why) => {
      failure ??= why;
      process.kill(-child.pid, "SIGTERM");
    };
    const timer = setTimeout(() => stop(`not done within ${limitMinutes} minutes`), limitMinutes * 60_000);
    const onSignal = (signal) => stop(signal);
    process.once("SIGINT", onSignal);
    process.once("SIGTERM", onSignal);
    let output = "";
    child.stdout.on("data", (chunk) => {
      output += chunk;
      process.stdout.write(chunk);
    });
    child.once("error", (error) => resolve({ failure: error.message, output }));
    child.once("close", (code, signal) => {
      clearTimeout(timer);
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
      if (code !== 0) failure ??= signal ?? `exit status ${code}`;
      resolve({ failure, output });
    });
  });
}

/** A figure of the summary that node's test runner ends with ("ℹ pass 12"). */
function countOf(output, what) {
  const found = [...output.matchAll(new RegExp(`^\\S*ℹ ${what} (\\d+)`, "gm"))].at(-1);
  return found ? Number(found[1]) : "?";
}
