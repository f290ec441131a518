/**
 * Where a configured STUN server is: its transport addresses in one family. What is wrong with a name is noted, not thrown.
 */
import { type Family, type TransportAddress, transportAddress } from "../address.ts";
import { describeError } from "../errors.ts";
import type { Resolve } from "./resolve.ts";
import { familyName, notAsked, type StunServer, type TroubleReport } from "./servers.ts";

interface LocateOptions {
  readonly family: Family;
  readonly resolve: Resolve;
  readonly signal: AbortSignal;
  readonly report: TroubleReport;
}

/** All different transport addresses of `server`, best first; empty when there are none. Throws only the signal's reason. */
export async function locateServer(
  server: StunServer,
  { family, resolve, signal, report }: LocateOptions,
): Promise<readonly TransportAddress[]> {
  report.note(server, { kind: "unresolved", reason: "name not resolved in time" });
  let hosts: readonly string[];
  try {
    hosts = await resolve(server.host, { family, signal });
  } catch (error) {
    signal.throwIfAborted();
    report.note(server, { kind: "unresolved", reason: `name not resolved (${describeError(error)})`, cause: error });
    return [];
  }
  const addresses = [...new Set(hosts)]
    .flatMap((host) => transportAddress(host, server.port) ?? [])
    .filter((address) => address.family === family);
  if (addresses.length === 0) {
    report.note(server, { kind: "absent", reason: `it has no ${familyName(family)} address` });
    return [];
  }
  report.clear(server);
  for (const address of addresses) report.note(server, notAsked, address);
  return addresses;
}
