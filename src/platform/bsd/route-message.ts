/**
 * Messages of a routing socket: the heads of struct rt_msghdr, if_msghdr, ifa_msghdr and if_announcemsghdr. Pure.
 *
 * What is not understood is passed over by its length, and never throws, whatever the bytes. All numbers are in the
 * machine's byte order; the parts that are read here are the same on FreeBSD and macOS, and on all their releases
 * (RTM_VERSION says so). route(4).
 */
import { endianness } from "node:os";
import type { BsdSystem } from "./system.ts";

export type RouteMessage =
  /** A route was added, removed or changed. `flags` are RTF_*; `errno` is not 0 when it was asked for and refused. */
  | { readonly kind: "route"; readonly index: number; readonly flags: number; readonly errno: number }
  /** An address was added or removed. */
  | { readonly kind: "address"; readonly index: number }
  /** An interface became something else; `state` is equal when it is as usable as before. */
  | { readonly kind: "link"; readonly index: number; readonly state: string }
  /** An interface came or went. */
  | { readonly kind: "announcement"; readonly index: number; readonly name: string };

/** rtm_msglen, rtm_version and rtm_type, which all messages begin with. */
const HEAD_BYTES = 4;
/** Up to the last field that is read of each. */
const ROUTE_BYTES = 28;
const ADDRESS_BYTES = 14;
const LINK_BYTES = 14;
const ANNOUNCEMENT_BYTES = 24;
const ANNOUNCEMENT_NAME = { offset: 6, bytes: 16 };

const isLittleEndian = endianness() === "LE";

/** Decodes what one read from a routing socket gave. */
export function decodeRouteMessages(bytes: Uint8Array, system: BsdSystem): readonly RouteMessage[] {
  const messages: RouteMessage[] = [];
  for (let offset = 0; offset + HEAD_BYTES <= bytes.length; ) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + offset);
    const length = view.getUint16(0, isLittleEndian);
    if (length < HEAD_BYTES || offset + length > bytes.length) break;
    const message = decodeMessage(new DataView(bytes.buffer, bytes.byteOffset + offset, length), system);
    if (message) messages.push(message);
    offset += length;
  }
  return messages;
}

function decodeMessage(view: DataView, system: BsdSystem): RouteMessage | undefined {
  const { constants } = system;
  if (view.getUint8(2) !== constants.RTM_VERSION) return undefined;
  switch (view.getUint8(3)) {
    case constants.RTM_ADD:
    case constants.RTM_DELETE:
    case constants.RTM_CHANGE:
      return decodeRoute(view);
    case constants.RTM_NEWADDR:
    case constants.RTM_DELADDR:
      if (view.byteLength < ADDRESS_BYTES) return undefined;
      return { kind: "address", index: view.getUint16(12, isLittleEndian) };
    case constants.RTM_IFINFO:
      return decodeLink(view, system);
    case constants.RTM_IFANNOUNCE:
      return decodeAnnouncement(view);
    default:
      return undefined;
  }
}

function decodeRoute(view: DataView): RouteMessage | undefined {
  if (view.byteLength < ROUTE_BYTES) return undefined;
  return {
    kind: "route",
    index: view.getUint16(4, isLittleEndian),
    flags: view.getUint32(8, isLittleEndian),
    errno: view.getInt32(24, isLittleEndian),
  };
}

function decodeLink(view: DataView, { constants, linkStateOffset }: BsdSystem): RouteMessage | undefined {
  if (view.byteLength < LINK_BYTES) return undefined;
  const flags = view.getUint32(8, isLittleEndian) & (constants.IFF_UP | constants.IFF_RUNNING);
  const hasLinkState = linkStateOffset !== undefined && linkStateOffset < view.byteLength;
  const state = hasLinkState ? `${flags} ${view.getUint8(linkStateOffset)}` : `${flags}`;
  return { kind: "link", index: view.getUint16(12, isLittleEndian), state };
}

function decodeAnnouncement(view: DataView): RouteMessage | undefined {
  if (view.byteLength < ANNOUNCEMENT_BYTES) return undefined;
  const { offset, bytes } = ANNOUNCEMENT_NAME;
  const [name = ""] = Buffer.from(view.buffer, view.byteOffset + offset, bytes)
    .toString("latin1")
    .split("\0");
  return { kind: "announcement", index: view.getUint16(4, isLittleEndian), name };
}
