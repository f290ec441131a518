/** What the launcher does for the program that it runs. Without one, as in tests, there is what comes nearest. */

export interface Launcher {
  /** The program's file. */
  readonly url: string;
  /** import(), which a script has not got. */
  importModule(url: string): Promise<{ readonly default?: unknown }>;
  /** Saves what is compiled by now for later starts, unless this start had it. Throws what writing throws. */
  saveCode(): void;
}

/** A name in the function around the bundle: packaging/bundle.mjs. */
declare const launcher: Launcher | undefined;

const handed = typeof launcher === "undefined" ? undefined : launcher;

export const importModule: Launcher["importModule"] = handed?.importModule ?? ((url) => import(url));
export const saveCode: Launcher["saveCode"] = handed?.saveCode ?? (() => undefined);
