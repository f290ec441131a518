/**
 * What the kernel tells about links, addresses and routes, decoded. Pure.
 *
 * Any bytes are allowed: what does not fit its own lengths is not guessed at but makes the datagram incomplete.
 * netlink(7), rtnetlink(7), linux/netlink.h, linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h.
 */
import {
  type Attributes,
  align,
  decodeAttributes,
  hexOf,
  textOf,
  uint16At,
  uint32At,
  uint32Of,
} from "./netlink-attribute.ts";

/** A link (network interface) was created, has changed or was deleted. */
export interface LinkMessage {
  readonly kind: "link";
  readonly isDeletion: boolean;
  /** AF_UNSPEC for the link itself, else what one protocol (AF_BRIDGE) has to say about it. */
  readonly family: number;
  readonly index: number;
  /** IFF_..., netdevice(7). */
  readonly flags: number;
  readonly name: string | undefined;
}

/** An address was added, has changed or was removed. */
export interface AddressMessage {
  readonly kind: "address";
  readonly isDeletion: boolean;
  readonly index: number;
  /** IFA_F_... */
  readonly flags: number;
  /** The same in all messages about one address of one link. */
  readonly identity: string;
}

/** A route was added, has changed or was removed. */
export interface RouteMessage {
  readonly kind: "route";
  readonly isDeletion: boolean;
  readonly family: number;
  /** RTN_... */
  readonly type: number;
  /** RTM_F_... */
  readonly flags: number;
  readonly table: number;
  /** The links it leads to; several for a multipath route, none for one that leads nowhere. */
  readonly indexes: readonly number[];
  /** The same in all messages about one destination of one table: what a replacement replaces. */
  readonly identity: string;
  /** Everything but how long it still lives: equal when the route is the same. */
  readonly content: string;
}

/** The end of what was asked for, or (errno not 0) that there is no answer. */
export interface EndMessage {
  readonly kind: "end";
  readonly errno: number;
}

export type NetlinkMessage = LinkMessage | AddressMessage | RouteMessage | EndMessage;

export interface NetlinkDatagram {
  readonly messages: readonly NetlinkMessage[];
  /** False when something in it could not be read, so that more may have happened than `messages` says. */
  readonly isComplete: boolean;
}

export const RTM_GETLINK = 18;
export const RTM_GETADDR = 22;

const HEADER_BYTES = 16;
const NLM_F_REQUEST = 0x1;
const NLM_F_DUMP = 0x300;
const LINK_BYTES = 16;
const ADDRESS_BYTES = 8;
const ROUTE_BYTES = 12;
const NEXT_HOP_BYTES = 8;

const IFLA_IFNAME = 3;
const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;
const RTA_DST = 1;
const RTA_SRC = 2;
const RTA_OIF = 4;
const RTA_PRIORITY = 6;
const RTA_MULTIPATH = 9;
const RTA_CACHEINFO = 12;
const RTA_TABLE = 15;
const RTA_EXPIRES = 23;

/** Returns undefined when the body does not fit its own lengths. */
type Decoder = (body: Uint8Array) => NetlinkMessage | undefined;

/** By nlmsg_type. */
const decoders: ReadonlyMap<number, Decoder> = new Map<number, Decoder>([
  [2, decodeError], // NLMSG_ERROR
  [3, decodeError], // NLMSG_DONE
  [16, (body) => decodeLink(body, false)], // RTM_NEWLINK
  [17, (body) => decodeLink(body, true)], // RTM_DELLINK
  [20, (body) => decodeAddress(body, false)], // RTM_NEWADDR
  [21, (body) => decodeAddress(body, true)], // RTM_DELADDR
  [24, (body) => decodeRoute(body, false)], // RTM_NEWROUTE
  [25, (body) => decodeRoute(body, true)], // RTM_DELROUTE
]);

/** Encodes the request for all links (RTM_GETLINK) or all addresses (RTM_GETADDR). */
export function encodeDumpRequest(type: number): Uint8Array {
  // The longest of the bodies, all zero ("of every family"), suits both.
  const request = new Uint8Array(HEADER_BYTES + LINK_BYTES);
  new Uint32Array(request.buffer).set([request.length]);
  new Uint16Array(request.buffer).set([type, NLM_F_REQUEST | NLM_F_DUMP], 2);
  return request;
}

/** Decodes one datagram of the kernel. Never throws; messages of other types are left out. */
export function decodeNetlink(datagram: Uint8Array): NetlinkDatagram {
  const messages: NetlinkMessage[] = [];
  for (let offset = 0; offset < datagram.length; ) {
    const length = uint32At(datagram, offset) ?? 0;
    const type = uint16At(datagram, offset + 4);
    if (length < HEADER_BYTES || offset + length > datagram.length || type === undefined) {
      return { messages, isComplete: false };
    }
    const decode = decoders.get(type);
    const message = decode?.(datagram.subarray(offset + HEADER_BYTES, offset + length));
    if (decode && !message) return { messages, isComplete: false };
    if (message) messages.push(message);
    offset += align(length);
  }
  return { messages, isComplete: true };
}

/** struct nlmsgerr, and what NLMSG_DONE has: a negative errno or 0. */
function decodeError(body: Uint8Array): EndMessage | undefined {
  const error = uint32At(body, 0);
  return error === undefined ? undefined : { kind: "end", errno: 0 - (error | 0) };
}

/** struct ifinfomsg { u8 family, padding; u16 type; s32 index; u32 flags, changed } */
function decodeLink(body: Uint8Array, isDeletion: boolean): LinkMessage | undefined {
  const attributes = attributesAfter(body, LINK_BYTES);
  if (!attributes) return undefined;
  const [family = 0] = body;
  const index = uint32At(body, 4) ?? 0;
  const flags = uint32At(body, 8) ?? 0;
  return { kind: "link", isDeletion, family, index, flags, name: textOf(attributes, IFLA_IFNAME) };
}

/** struct ifaddrmsg { u8 family, prefix length, flags, scope; u32 index } */
function decodeAddress(body: Uint8Array, isDeletion: boolean): AddressMessage | undefined {
  const attributes = attributesAfter(body, ADDRESS_BYTES);
  if (!attributes) return undefined;
  const [family = 0, prefixLength = 0, flags = 0] = body;
  const index = uint32At(body, 4) ?? 0;
  const identity = `${index} ${family} ${hexOf(attributes, IFA_LOCAL)} ${hexOf(attributes, IFA_ADDRESS)} ${prefixLength}`;
  return { kind: "address", isDeletion, index, flags: uint32Of(attributes, IFA_FLAGS) ?? flags, identity };
}

/** struct rtmsg { u8 family, destination and source length, TOS, table, protocol, scope, type; u32 flags } */
function decodeRoute(body: Uint8Array, isDeletion: boolean): RouteMessage | undefined {
  const attributes = attributesAfter(body, ROUTE_BYTES);
  if (!attributes) return undefined;
  const [family = 0, destinationLength = 0, sourceLength = 0, typeOfService = 0, shortTable = 0] = body;
  const nextHops = decodeNextHops(attributes.get(RTA_MULTIPATH) ?? new Uint8Array());
  if (!nextHops) return undefined;
  const index = uint32Of(attributes, RTA_OIF);
  // A table above 255 does not fit the header.
  const table = uint32Of(attributes, RTA_TABLE) ?? shortTable;
  const destination = `${hexOf(attributes, RTA_DST)}/${destinationLength}`;
  const source = `${hexOf(attributes, RTA_SRC)}/${sourceLength}`;
  const metric = uint32Of(attributes, RTA_PRIORITY) ?? 0;
  const parts = [Buffer.from(body.subarray(0, ROUTE_BYTES)).toString("hex")];
  for (const type of attributes.keys()) {
    if (type !== RTA_CACHEINFO && type !== RTA_EXPIRES) parts.push(`${type}=${hexOf(attributes, type)}`);
  }
  return {
    kind: "route",
    isDeletion,
    family,
    type: body[7] ?? 0,
    flags: uint32At(body, 8) ?? 0,
    table,
    indexes: index === undefined ? nextHops : [index, ...nextHops],
    identity: `${family} ${table} ${destination} ${source} ${typeOfService} ${metric}`,
    content: parts.join(" "),
  };
}

/** A sequence of struct rtnexthop { u16 length; u8 flags, hops; s32 index }, each with attributes of its own; returns the indexes. */
function decodeNextHops(bytes: Uint8Array): readonly number[] | undefined {
  const indexes: number[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const length = uint16At(bytes, offset) ?? 0;
    const index = uint32At(bytes, offset + 4);
    if (length < NEXT_HOP_BYTES || offset + length > bytes.length || index === undefined) return undefined;
    indexes.push(index);
    offset += align(length);
  }
  return indexes;
}

function attributesAfter(body: Uint8Array, headerBytes: number): Attributes | undefined {
  return body.length < headerBytes ? undefined : decodeAttributes(body.subarray(headerBytes));
}
