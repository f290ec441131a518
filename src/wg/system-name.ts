/**
 * What the operating system calls the interfaces of the configuration: on macOS `wg0` is a utun4, and another one after
 * each start. Whoever speaks to the system about an interface between two looks at its device asks here.
 */
import type { WireGuardControl } from "./types.ts";

export interface NamingControl extends WireGuardControl {
  /** The name that `name` had when its device was read last; `name` itself before that. */
  systemName(name: string): string;
}

/** Makes a control that remembers the names of the devices it reads. */
export function rememberSystemNames(control: WireGuardControl): NamingControl {
  const names = new Map<string, string>();
  return {
    async readDevice(name, signal) {
      const device = await control.readDevice(name, signal);
      names.set(name, device.name);
      return device;
    },
    setPeerEndpoints: control.setPeerEndpoints,
    systemName: (name) => names.get(name) ?? name,
  };
}
