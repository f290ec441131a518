/** The receiving end of sd_notify(3): a datagram socket of the kernel, at a path or an abstract name. */
import { loadLibc, MAX_ADDRESS_BYTES } from "../../src/platform/native/libc.ts";
import { encodeUnixAddress } from "../../src/platform/native/unix-datagram.ts";

const AF_UNIX = 1;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0o4000 | 0o2000000;

export interface ServiceManager {
  /** Everything that came since the last call, as it was sent. */
  received(): readonly string[];
  close(): void;
}

export async function openServiceManager(name: string): Promise<ServiceManager> {
  const libc = await loadLibc();
  const fd = libc.socket({ domain: AF_UNIX, type: SOCK_DGRAM_NONBLOCK_CLOEXEC, protocol: 0 });
  libc.bind(fd, encodeUnixAddress(name));
  return {
    received() {
      const messages: string[] = [];
      for (;;) {
        const packet = new Uint8Array(4096);
        const length = libc.receiveChecked(fd, { packet, address: new Uint8Array(MAX_ADDRESS_BYTES) });
        if (length === undefined) return messages;
        messages.push(Buffer.from(packet.subarray(0, length)).toString());
      }
    },
    close: () => libc.close(fd),
  };
}
