import { createServer, type Server } from "node:net";
import { networkInterfaces } from "node:os";
import { afterEach, expect, it } from "vitest";
import { type ListeningServer, listen } from "./server.ts";

const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === "::1"),
);
const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function started(host: string, port = 0): Promise<ListeningServer> {
  const server = await listen(() => new Response("ours"), { host, port, requestTimeoutMs: 1_000 });
  closing.push(() => server.close(0));
  return server;
}

/** What another process of this machine gets when it listens there: nothing, or the system's word. */
async function taken(host: string, port: number): Promise<string | Server> {
  const server = createServer();
  const outcome = await new Promise<string | Server>((resolve) => {
    server.once("error", (error) => resolve("code" in error ? String(error.code) : error.message));
    server.listen({ host, port, ipv6Only: host === "::" }, () => resolve(server));
  });
  if (typeof outcome !== "string") closing.push(() => new Promise((done) => outcome.close(() => done())));
  return outcome;
}

const textAt = async (name: string, port: number) => (await fetch(`http://${name}:${port}`)).text();

for (const host of ["127.0.0.1", "localhost", "::1", "0.0.0.0"]) {
  it.runIf(hasIpv6)(`${host}: nobody else can be asked for by localhost, on either address`, async () => {
    const { port } = await started(host);
    for (const name of ["127.0.0.1", "[::1]", "localhost"]) expect(await textAt(name, port)).toBe("ours");
    for (const address of ["127.0.0.1", "::1", "0.0.0.0", "::"])
      expect(await taken(address, port), address).toBe("EADDRINUSE");
  });
}

it.runIf(hasIpv6)(
  "does not start beside somebody who has the other address, and lets go of its own",
  async () => {
    const other = await taken("::1", 0);
    const address = typeof other === "string" ? null : other.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    await expect(started("127.0.0.1", port)).rejects.toMatchObject({ code: "EADDRINUSE", address: "::1" });
    expect(await taken("127.0.0.1", port)).not.toBe("EADDRINUSE");
  },
);

it("ends on all its addresses", async () => {
  const server = await started("127.0.0.1");
  await server.close(0);
  for (const name of ["127.0.0.1", "[::1]"]) await expect(textAt(name, server.port)).rejects.toThrow();
});

it("says so when the machine does not have the address", async () => {
  // RFC 5737: for documents alone.
  await expect(started("203.0.113.1")).rejects.toMatchObject({ code: "EADDRNOTAVAIL" });
});
