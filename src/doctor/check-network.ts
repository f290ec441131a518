/** Checks of the network around an interface: packet sizes, routes, the reverse path filter. Pure. */
import type { WireGuardPeer } from "../wg/types.ts";
import type { DeviceFacts } from "./facts.ts";
import type { Check, Finding } from "./finding.ts";

/** IP and UDP header, and 32 bytes of WireGuard. */
const OVERHEAD_BYTES = { ipv4: 60, ipv6: 80 } as const;

export const networkChecks: readonly Check<DeviceFacts>[] = [checkMtu, checkRoute, checkReversePath];

function checkMtu({ config, tunnelMtu, uplink }: DeviceFacts): readonly Finding[] {
  if (tunnelMtu === undefined || uplink?.mtu === undefined) return [];
  const overhead = OVERHEAD_BYTES[config.protocol === "ipv4" ? "ipv4" : "ipv6"];
  if (tunnelMtu + overhead <= uplink.mtu) return [];
  return [
    {
      level: "warn",
      check: "mtu",
      subject: config.name,
      text:
        `the tunnel's MTU of ${tunnelMtu} and ${overhead} bytes of WireGuard are more than the ${uplink.mtu} of ` +
        `${uplink.name}: large packets are fragmented or lost, small ones are not`,
      hint: `set MTU = ${uplink.mtu - overhead} or less`,
    },
  ];
}

/** 0.0.0.0/0 or its two halves, as people write it to leave the default route alone; the same of IPv6. */
function carriesEverything(peers: readonly Pick<WireGuardPeer, "allowedIps">[]): boolean {
  const all = new Set(peers.flatMap(({ allowedIps }) => allowedIps));
  return (
    all.has("0.0.0.0/0") ||
    all.has("::/0") ||
    (all.has("0.0.0.0/1") && all.has("128.0.0.0/1")) ||
    (all.has("::/1") && all.has("8000::/1"))
  );
}

function checkRoute({ config, device, throughTunnel }: DeviceFacts): readonly Finding[] {
  if (!device || throughTunnel.length === 0) return [];
  const check = "route";
  const subject = config.name;
  const list = throughTunnel.slice(0, 3).join(", ");
  if (device.firewallMark === 0) {
    const full = carriesEverything(device.peers) ? " (allowed IPs with 0.0.0.0/0 or ::/0, and no firewall mark)" : "";
    const text = `packets to ${list} are routed into the tunnel itself${full}, so they never leave this host`;
    const hint =
      "set FwMark, and a rule that looks up marked packets in the main table, as wg-quick does; or leave these addresses out of the route";
    return [{ level: "fail", check, subject, text, hint }];
  }
  return [
    {
      level: "warn",
      check,
      subject,
      text: "all but marked packets go through the tunnel: while it is down, names and stores cannot be reached",
      hint: "write IP addresses into stun.addresses, and give the stores' addresses a route of their own",
    },
  ];
}

function checkReversePath({ config, device, isReversePathStrict, uplink }: DeviceFacts): readonly Finding[] {
  if (!device || device.firewallMark === 0 || !isReversePathStrict) return [];
  return [
    {
      level: "warn",
      check: "reverse-path",
      subject: config.name,
      text: `the strict reverse path filter of ${uplink?.name ?? "the uplink"} drops answers to packets with the firewall mark`,
      hint: "sysctl net.ipv4.conf.all.src_valid_mark=1 (wg-quick sets it), or rp_filter=2",
    },
  ];
}
