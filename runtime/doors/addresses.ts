import { BlockList, isIPv6 } from "node:net";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8);
loopback.addAddress("::1", "ipv6");
loopback.addSubnet("::ffff:127.0.0.0", 104, "ipv6");

/** Whether an IP address is this machine's own (127.0.0.0/8, ::1, and the first as IPv6). */
export function isLoopback(address: string): boolean {
  return loopback.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}

/** Names that a browser takes for this machine whatever a name server says. */
export const loopbackNames: readonly string[] = ["localhost", "127.0.0.1", "[::1]"];

/** The name in a Host header, without its port, in small letters; null where there is none. */
export function hostName(host: string | undefined): string | null {
  return /^(\[[\da-f:.]+\]|[\w.-]+)(?::\d*)?$/i.exec(host ?? "")?.[1]?.toLowerCase() ?? null;
}
