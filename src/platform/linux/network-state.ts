/**
 * Tells changes of the network from what the kernel also says: that a timer was renewed, that a counter moved on.
 *
 * Keeps the links and addresses there are and the routes last heard of, bounded: what was forgotten is reported once too
 * often, never too seldom. Pure bookkeeping; rtnetlink(7), netdevice(7).
 */
import type { NetworkChange } from "../types.ts";
import type { AddressMessage, LinkMessage, NetlinkMessage, RouteMessage } from "./netlink-message.ts";
import { AF_INET, AF_INET6 } from "./socket-address.ts";

/** More addresses than a machine has, more routes than are refreshed by timers. */
const KNOWN_MAX = 4096;

const AF_UNSPEC = 0;
const IFF_UP = 0x1;
const IFF_RUNNING = 0x40;
/** Cannot be sent from: another machine has the address, or it is still being found out. RFC 4862 section 5.4. */
const IFA_F_UNUSABLE = 0x08 | 0x40;
const IFA_F_OPTIMISTIC = 0x04;
/** Not to be used for what is new: another address is chosen from now on. */
const IFA_F_DEPRECATED = 0x20;
const RT_TABLE_LOCAL = 255;
const RTM_F_CLONED = 0x200;
/** Local, broadcast, anycast and multicast routes: the kernel makes them itself with every address. */
const OWN_ROUTE_TYPES: ReadonlySet<number> = new Set([2, 3, 4, 5]);

interface Link {
  readonly name: string;
  /** Packets can pass: the interface is up and has its cable, its radio network, its login. */
  readonly isRunning: boolean;
}

export interface NetworkState {
  /** Starts anew from all links and addresses there are. */
  reset(messages: readonly NetlinkMessage[]): void;
  /** Takes notice of one message; returns the change, or undefined when it is none or of an ignored interface. */
  apply(message: NetlinkMessage): NetworkChange | undefined;
}

/** Creates the bookkeeping, which takes no notice of interfaces whose names are to be ignored. */
export function createNetworkState(isIgnoredName: (name: string) => boolean): NetworkState {
  /** Not bounded but by the kernel: a forgotten tunnel would not be ignored any more. */
  const links = new Map<number, Link>();
  /** Identity -> how usable; only addresses that are usable at all. */
  const addresses = new Map<string, string>();
  const routes = new Map<string, string>();

  function applyLink({ isDeletion, family, index, flags, name }: LinkMessage): NetworkChange | undefined {
    // A bridge says about its ports what reads like the creation and deletion of the link itself.
    if (family !== AF_UNSPEC) return undefined;
    const before = links.get(index);
    const link = { name: name ?? before?.name ?? "", isRunning: !isDeletion && isRunning(flags) };
    if (isDeletion) links.delete(index);
    else links.set(index, link);
    if (link.isRunning === (before?.isRunning ?? false) || isIgnoredName(link.name)) return undefined;
    return { kind: "link", ...(link.name !== "" && { interface: link.name }) };
  }

  function applyAddress({ isDeletion, index, flags, identity }: AddressMessage): NetworkChange | undefined {
    const before = addresses.get(identity);
    const now = isDeletion ? undefined : usability(flags);
    if (now === undefined) addresses.delete(identity);
    else remember(addresses, { key: identity, value: now });
    return now === before || isIgnored(index) ? undefined : { kind: "address", ...nameOf(index) };
  }

  function applyRoute(route: RouteMessage): NetworkChange | undefined {
    const { isDeletion, indexes, identity, content } = route;
    if (isOfKernel(route) || (indexes.length > 0 && indexes.every(isIgnored))) return undefined;
    const isKnown = routes.get(identity) === content;
    if (isDeletion) routes.delete(identity);
    else remember(routes, { key: identity, value: content });
    const index = indexes.find((one) => !isIgnored(one));
    return isKnown && !isDeletion ? undefined : { kind: "route", ...(index !== undefined && nameOf(index)) };
  }

  function isIgnored(index: number): boolean {
    const link = links.get(index);
    return link !== undefined && isIgnoredName(link.name);
  }

  function nameOf(index: number): { readonly interface?: string } {
    const name = links.get(index)?.name;
    return name === undefined || name === "" ? {} : { interface: name };
  }

  function apply(message: NetlinkMessage): NetworkChange | undefined {
    switch (message.kind) {
      case "link":
        return withoutRoutes(applyLink(message));
      case "address":
        return withoutRoutes(applyAddress(message));
      case "route":
        return applyRoute(message);
      case "end":
        return undefined;
    }
  }

  /** With a link or an address the kernel removes IPv4 routes and says nothing of it: when they come back, that is a change. */
  function withoutRoutes(change: NetworkChange | undefined): NetworkChange | undefined {
    if (change) routes.clear();
    return change;
  }

  return {
    apply,
    reset(messages) {
      links.clear();
      addresses.clear();
      routes.clear();
      for (const message of messages) apply(message);
    },
  };
}

function isRunning(flags: number): boolean {
  return (flags & IFF_UP) !== 0 && (flags & IFF_RUNNING) !== 0;
}

function usability(flags: number): string | undefined {
  if ((flags & IFA_F_UNUSABLE) !== 0 && (flags & IFA_F_OPTIMISTIC) === 0) return undefined;
  return (flags & IFA_F_DEPRECATED) === 0 ? "preferred" : "deprecated";
}

/** Multicast forwarding, what follows from an address, and what is learned about a single destination. */
function isOfKernel({ family, table, type, flags }: RouteMessage): boolean {
  if (family !== AF_INET && family !== AF_INET6) return true;
  return table === RT_TABLE_LOCAL || OWN_ROUTE_TYPES.has(type) || (flags & RTM_F_CLONED) !== 0;
}

/** Adds or renews an entry; the one not renewed for longest makes room. */
function remember(map: Map<string, string>, { key, value }: { readonly key: string; readonly value: string }): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= KNOWN_MAX) return;
  for (const oldest of map.keys()) {
    map.delete(oldest);
    return;
  }
}
