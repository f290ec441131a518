/**
 * Chooses the interfaces to listen on. Pure.
 *
 * Nothing is ever chosen that is down, a loopback, or the tunnel itself, whether it was named or not.
 */
import type { NetworkInterface } from "../native/network-interfaces.ts";

interface ChooseOptions {
  /** All interfaces of the host. */
  readonly present: readonly NetworkInterface[];
  /** Names that were asked for; with `defaultRoute` they are a union. Neither: all there are. */
  readonly named: readonly string[];
  /** The name of the interface of the default route, when that was asked for and is there. */
  readonly defaultRoute?: string | undefined;
  /** All there are, as nothing else was asked for. */
  readonly all: boolean;
  /** The tunnel itself. */
  readonly exclude: string;
}

export interface Skipped {
  readonly interface: string;
  readonly reason: string;
}

interface Choice {
  readonly names: readonly string[];
  /** Those of `named` and `defaultRoute` that cannot be listened on; of all there are, none is worth a word. */
  readonly skipped: readonly Skipped[];
}

export function chooseInterfaces({ present, named, defaultRoute, all, exclude }: ChooseOptions): Choice {
  if (all) {
    const eligible = present.filter((one) => whyNot(one, exclude) === undefined);
    return { names: eligible.map(({ name }) => name), skipped: [] };
  }
  const wanted = new Set([...named, ...(defaultRoute === undefined ? [] : [defaultRoute])]);
  const names: string[] = [];
  const skipped: Skipped[] = [];
  for (const name of wanted) {
    const reason = whyNot(
      present.find((one) => one.name === name),
      exclude,
    );
    if (reason === undefined) names.push(name);
    else skipped.push({ interface: name, reason });
  }
  return { names, skipped };
}

function whyNot(one: NetworkInterface | undefined, exclude: string): string | undefined {
  if (!one) return "there is no such interface";
  if (one.name === exclude) return "it is the tunnel itself";
  if (one.isLoopback) return "it is a loopback interface";
  return one.isUp ? undefined : "it is down";
}
