import { BlockList, isIP, isIPv6 } from "node:net";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8);
loopback.addAddress("::1", "ipv6");
loopback.addSubnet("::ffff:127.0.0.0", 104, "ipv6");

/** Whether an IP address is this machine's own (127.0.0.0/8, ::1, and the first as IPv6). */
export function isLoopback(address: string): boolean {
  // Those that nearly all requests come from; the list costs more than all else that the doors do.
  if (address === "127.0.0.1" || address === "::1" || address === "::ffff:127.0.0.1") return true;
  return loopback.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}

/** Names that a browser takes for this machine whatever a name server says. */
export const loopbackNames: readonly string[] = ["localhost", "127.0.0.1", "[::1]"];

/** A name or address as URLs and Host headers have it: IPv6 in brackets (RFC 3986, 3.2.2). */
export function nameInUrl(host: string): string {
  return isIPv6(host) ? `[${host}]` : host;
}

/** The name in a Host header, without its port, in small letters; null where there is none. */
export function hostName(host: string | undefined): string | null {
  return /^(\[[\da-f:.]+\]|[\w.-]+)(?::\d*)?$/i.exec(host ?? "")?.[1]?.toLowerCase() ?? null;
}

/** An address that a port is published at, with or without brackets; localhost is 127.0.0.1. @throws Error for what is none */
export function parseAddress(text: string): string {
  const address = text === "localhost" ? "127.0.0.1" : text.replace(/^\[(.*)\]$/, "$1");
  if (isIP(address) !== 0) return address;
  throw new Error(`"${text}" is no IP address, such as 127.0.0.1 or [::1]`);
}
