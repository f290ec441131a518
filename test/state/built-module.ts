/** Modules of src for programs that a test runs. */

/** URL of the compiled module, to be imported by a program's text: builtModule("state/lock"). */
export function builtModule(name: string): string {
  return new URL(`../../src/${name}.js`, import.meta.url).href;
}
