/**
 * How the daemons of a laboratory listen for answers: `STUNMESH_LAB_CAPTURE=pcap npm run lab` does everything the way
 * FreeBSD and macOS do it, `mixed` at every other site, `raw` as Linux does by itself.
 */
import type { LabHost } from "./lab.ts";

export type LabCapture = "raw" | "pcap" | "mixed";

/** For the configuration of the interface of `host`; nothing when neither the test nor the environment says. */
export function captureOf(host: LabHost, wanted: LabCapture | undefined): { readonly capture?: "raw" | "pcap" } {
  const { STUNMESH_LAB_CAPTURE: fromEnv = "" } = process.env;
  const capture = wanted ?? fromEnv;
  switch (capture) {
    case "":
      return {};
    case "raw":
    case "pcap":
      return { capture };
    case "mixed":
      return { capture: host.site % 2 === 0 ? "raw" : "pcap" };
    default:
      throw new Error(`STUNMESH_LAB_CAPTURE="${capture}": raw, pcap or mixed wanted`);
  }
}
