/** A server of a job queue in a process of its own, which takes nothing: `queue-node.ts URL NODE LEASE_MS`. */
import { connectQueue } from "../../lib/queue/open-queue.ts";

const [url = "", node = "", leaseMs = ""] = process.argv.slice(2);
const log = { warn: () => undefined };
const { queue } = await connectQueue({
  url,
  prefix: "p",
  node,
  engines: ["codex"],
  limits: { engines: new Map(), skills: new Map() },
  leaseMs: Number(leaseMs),
  log,
});
await queue.serve(["codex"]);
process.stdout.write("ready\n");
setInterval(() => undefined, 60_000);
