/**
 * Questions to a person, one line each. The terminal stays in its own line mode: it does the editing, and Ctrl-C is a
 * signal as in every other command.
 */
import { createInterface } from "node:readline";
import { StunmeshError } from "../../errors.ts";

export interface Terminal {
  say(text: string): void;
  /** Asks until `check` takes the answer. Throws USAGE when the input ends; rejects with the signal's reason. */
  ask<T>(question: string, options: Asked<T>): Promise<T>;
  close(): void;
}

interface Asked<T> {
  /** Shown, and taken when the answer is empty. */
  readonly preset?: string;
  /** What the answer means, or what is wrong with it. */
  check(answer: string): Checked<T>;
}

export type Checked<T> = { readonly value: T } | { readonly problem: string };

interface TerminalOptions {
  readonly input: NodeJS.ReadableStream;
  readonly output: NodeJS.WritableStream;
  readonly signal: AbortSignal;
}

/** Opens the terminal. `signal` ends a question that waits. */
export function openTerminal({ input, output, signal }: TerminalOptions): Terminal {
  const reader = createInterface({ input, terminal: false, crlfDelay: Number.POSITIVE_INFINITY });
  const lines = reader[Symbol.asyncIterator]();
  const close = () => reader.close();
  signal.addEventListener("abort", close, { once: true });

  async function readLine(): Promise<string> {
    const { value, done } = await lines.next();
    signal.throwIfAborted();
    if (!done) return value.trim();
    throw new StunmeshError("USAGE", "Cannot ask any further: the input ended; nothing was written");
  }

  return {
    say: (text) => void output.write(`${text}\n`),
    async ask(question, { preset, check }) {
      for (;;) {
        output.write(preset === undefined ? `${question}: ` : `${question} [${preset}]: `);
        const answer = (await readLine()) || (preset ?? "");
        const checked = check(answer);
        if ("value" in checked) return checked.value;
        output.write(`  ${checked.problem}\n`);
      }
    },
    close() {
      signal.removeEventListener("abort", close);
      reader.close();
    },
  };
}
