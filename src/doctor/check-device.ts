/** Checks of a WireGuard interface against its configuration. Pure. */
import { formatIp, parseIp } from "../address.ts";
import { ownerOf } from "../allowed-ips.ts";
import { noKeepalive, notOnDevice } from "../causes.ts";
import { networkChecks } from "./check-network.ts";
import type { DeviceFacts } from "./facts.ts";
import type { Check, Finding } from "./finding.ts";

/** All of them need the device; without it there is one finding. */
export const deviceChecks: readonly Check<DeviceFacts>[] = [
  checkDevice,
  checkDaemon,
  checkPeers,
  checkKeys,
  checkKeepalive,
  checkAllowedIps,
  checkPingTargets,
  ...networkChecks,
];

const base64 = (key: Uint8Array) => Buffer.from(key).toString("base64");
const same = (a: Uint8Array, b: Uint8Array) => Buffer.compare(a, b) === 0;

/** The peers of the configuration that are on the device. */
function matched({ config, device }: DeviceFacts) {
  return config.peers.flatMap((peer) => {
    const onDevice = device?.peers.find(({ publicKey }) => same(publicKey, peer.publicKey));
    return onDevice ? [{ peer, onDevice, subject: `${config.name}/${peer.name}` }] : [];
  });
}

function checkDevice({ config, device, failure }: DeviceFacts): readonly Finding[] {
  const check = "device";
  const subject = config.name;
  if (!device) {
    return [{ level: "fail", check, subject, text: failure?.message ?? "the interface cannot be read" }];
  }
  const { listenPort, peers, firewallMark } = device;
  const mark = firewallMark === 0 ? "" : `, firewall mark 0x${firewallMark.toString(16)}`;
  const count = `${peers.length} peer${peers.length === 1 ? "" : "s"}`;
  return [{ level: "ok", check, subject, text: `listens on port ${listenPort}, ${count}${mark}` }];
}

function checkDaemon({ config, servedBy, device }: DeviceFacts): readonly Finding[] {
  const check = "daemon";
  const subject = config.name;
  if (servedBy !== undefined) {
    const text = `${servedBy} serves this interface; what is found here is beside it, and nothing of it is touched`;
    return [{ level: "ok", check, subject, text }];
  }
  if (!device) return [];
  const text = "no daemon serves this interface, as far as the state directory tells";
  return [{ level: "info", check, subject, text, hint: 'start "stunmesh-ts run": nothing else keeps peers reachable' }];
}

function checkPeers(facts: DeviceFacts): readonly Finding[] {
  const { config, device } = facts;
  if (!device) return [];
  const there = matched(facts).map(({ peer }) => peer);
  const unknown = device.peers.filter((one) => !config.peers.some(({ publicKey }) => same(publicKey, one.publicKey)));
  const strangers = unknown.map(({ publicKey }) => base64(publicKey));
  const missing = config.peers.filter((peer) => !there.includes(peer));
  return [
    ...missing.map(
      (peer): Finding => ({
        level: "fail",
        check: "peers",
        subject: `${config.name}/${peer.name}`,
        ...notOnDevice(base64(peer.publicKey), strangers),
      }),
    ),
    ...(missing.length === 0 && strangers.length > 0
      ? [
          {
            level: "info",
            check: "peers",
            subject: config.name,
            text: `the configuration leaves out ${strangers.length} of the device's peers: ${strangers.slice(0, 3).join(", ")}`,
          } as const,
        ]
      : []),
  ];
}

function checkKeys({ config, device }: DeviceFacts): readonly Finding[] {
  const check = "keys";
  const own = device && config.peers.filter(({ publicKey }) => same(publicKey, device.publicKey));
  return (own ?? []).map(({ name }) => ({
    level: "fail",
    check,
    subject: `${config.name}/${name}`,
    text: "the public key of this peer is this host's own",
    hint: "write the other host's key there; if both hosts have the same key, make a new one for one of them",
  }));
}

function checkKeepalive(facts: DeviceFacts): readonly Finding[] {
  return matched(facts).flatMap(({ onDevice, subject }): readonly Finding[] =>
    onDevice.persistentKeepalive > 0
      ? []
      : [
          {
            level: "warn",
            check: "keepalive",
            subject,
            ...noKeepalive(),
          },
        ],
  );
}

function checkAllowedIps(facts: DeviceFacts): readonly Finding[] {
  return matched(facts).flatMap(({ onDevice, subject }): readonly Finding[] =>
    onDevice.allowedIps.length > 0
      ? []
      : [
          {
            level: "fail",
            check: "allowed-ips",
            subject,
            text: "the peer has no allowed IPs, so no packet goes to it and none from it is accepted",
            hint: "set AllowedIPs to the peer's addresses in the tunnel; another peer with the same ones takes them away",
          },
        ],
  );
}

function checkPingTargets(facts: DeviceFacts): readonly Finding[] {
  const all = matched(facts);
  return all.flatMap(({ peer, onDevice, subject }): readonly Finding[] => {
    const target = peer.ping?.target;
    const ip = target === undefined ? undefined : parseIp(target);
    if (target === undefined) return [];
    const check = "ping-target";
    if (ip) {
      const owner = facts.device && ownerOf(facts.device, ip);
      const isOwn = facts.ownAddresses.includes(formatIp(ip));
      if (isOwn || owner !== onDevice) {
        const where = isOwn
          ? "is an address of this host"
          : owner
            ? "belongs to the allowed IPs of another peer"
            : "is in no peer's allowed IPs";
        const hint = "ping an address of the peer, or correct AllowedIPs";
        return [{ level: "fail", check, subject, text: `the ping target ${target} ${where}`, hint }];
      }
    }
    if (!facts.pings.has(peer.name)) return [];
    const rttMs = facts.pings.get(peer.name);
    if (rttMs !== undefined) {
      return [{ level: "ok", check, subject, text: `${target} answers through the tunnel in ${rttMs.toFixed(1)} ms` }];
    }
    return [{ level: "warn", check, subject, text: `${target} does not answer through the tunnel` }];
  });
}
