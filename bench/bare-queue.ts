// BullMQ with nothing around it: a worker whose processor says on stdout that it was called, and is done.
import { writeSync } from "node:fs";
import { Worker } from "bullmq";

const [queue = "", url = ""] = process.argv.slice(2);
const worker = new Worker(
  queue,
  async () => {
    writeSync(1, "called\n");
  },
  { connection: { url, maxRetriesPerRequest: null } },
);
worker.on("error", (error) => console.error(error));
await worker.waitUntilReady();
writeSync(1, "ready\n");
