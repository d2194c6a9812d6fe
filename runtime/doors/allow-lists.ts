import { hostName } from "./addresses.ts";
import { entriesOf } from "./entries.ts";

/** Host names, several with commas or white space. @throws Error for what is none */
export function parseHosts(text: string): readonly string[] {
  return entriesOf(text).map((entry) => {
    const name = hostName(entry);
    if (name !== null && name === entry.toLowerCase()) return name;
    throw new Error(`"${entry}" is no host name without a port, such as runner.example`);
  });
}

/** Origins (RFC 6454), several with commas or white space. @throws Error for what is none */
export function parseOrigins(text: string): readonly string[] {
  return entriesOf(text).map((entry) => {
    if (URL.canParse(entry) && new URL(entry).origin === entry.toLowerCase()) return entry.toLowerCase();
    throw new Error(`"${entry}" is no origin, such as https://app.example (no path, no slash at the end)`);
  });
}
