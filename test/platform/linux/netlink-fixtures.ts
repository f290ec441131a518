/** test/fixtures/platform/netlink.json: what the kernel said in a network namespace, by the command that made it say so. */
import { readFileSync } from "node:fs";
import { decodeNetlink, type NetlinkMessage } from "../../../src/platform/linux/netlink-message.ts";
import { fixturePath } from "../../fixtures/path.ts";
import { fromHex } from "../packets.ts";

export interface NetlinkStep {
  readonly madeBy: string;
  readonly datagrams: readonly Uint8Array[];
}

interface Recording {
  readonly steps: readonly { readonly made_by: string; readonly datagrams: readonly string[] }[];
}

/** In the order they were recorded; the first two are all links and all addresses there were then. */
export function readNetlinkSteps(): readonly NetlinkStep[] {
  const { steps } = JSON.parse(readFileSync(fixturePath("platform/netlink.json"), "utf8")) as Recording;
  return steps.map(({ made_by, datagrams }) => ({ madeBy: made_by, datagrams: datagrams.map(fromHex) }));
}

/** All messages of one step. */
export function messagesOf(madeBy: string): readonly NetlinkMessage[] {
  const step = readNetlinkSteps().find((one) => one.madeBy === madeBy);
  if (!step) throw new Error(`Nothing is recorded of "${madeBy}"`);
  return step.datagrams.flatMap((datagram) => decodeNetlink(datagram).messages);
}
