/** Messages of a routing socket, laid out by the systems' headers and not by the code under test. */
import { endianness } from "node:os";
import { type BsdName, constantOf, fieldOf, headersOf } from "../../fixtures/bsd-constants.ts";

const structs = {
  RTM_ADD: ["rt_msghdr", "rtm"],
  RTM_DELETE: ["rt_msghdr", "rtm"],
  RTM_CHANGE: ["rt_msghdr", "rtm"],
  RTM_NEWADDR: ["ifa_msghdr", "ifam"],
  RTM_DELADDR: ["ifa_msghdr", "ifam"],
  RTM_IFINFO: ["if_msghdr", "ifm"],
  RTM_IFANNOUNCE: ["if_announcemsghdr", "ifan"],
} as const;

export type RouteMessageType = keyof typeof structs;

interface Fields {
  readonly index: number;
  readonly flags?: number;
  readonly errno?: number;
  /** FreeBSD: ifi_link_state. */
  readonly linkState?: number;
  /** RTM_IFANNOUNCE. */
  readonly name?: string;
  readonly what?: number;
}

/** Builds a message with socket addresses behind it, as kernels send it. */
export function routeMessage(system: BsdName, type: RouteMessageType, fields: Fields): Uint8Array {
  const [struct, prefix] = structs[type];
  const size = headersOf(system).structs[struct]!.size!;
  // Of what follows nothing is read: a destination and a gateway.
  const message = new Uint8Array(size + (type === "RTM_IFANNOUNCE" ? 0 : 32)).fill(0xee, size);
  const view = new DataView(message.buffer);
  const isLittle = endianness() === "LE";
  function put(path: string, value: number): void {
    const { offset, size: bytes } = fieldOf(system, path);
    if (bytes === 1) view.setUint8(offset, value);
    else if (bytes === 2) view.setUint16(offset, value, isLittle);
    else view.setUint32(offset, value, isLittle);
  }
  put(`${struct}.${prefix}_msglen`, message.length);
  put(`${struct}.${prefix}_version`, constantOf(system, "RTM_VERSION"));
  put(`${struct}.${prefix}_type`, constantOf(system, type));
  put(`${struct}.${prefix}_index`, fields.index);
  if (fields.flags !== undefined) put(`${struct}.${prefix}_flags`, fields.flags);
  if (fields.errno !== undefined) put("rt_msghdr.rtm_errno", fields.errno);
  if (fields.linkState !== undefined) {
    view.setUint8(
      fieldOf(system, "if_msghdr.ifm_data").offset + fieldOf(system, "if_data.ifi_link_state").offset,
      fields.linkState,
    );
  }
  if (fields.name !== undefined) message.set(Buffer.from(fields.name), fieldOf(system, `${struct}.ifan_name`).offset);
  if (fields.what !== undefined) put(`${struct}.ifan_what`, fields.what);
  return message;
}
