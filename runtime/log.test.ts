import { createServer } from "node:net";
import { Redis } from "ioredis";
import { expect, it } from "vitest";
import { createLog } from "./log.ts";

function readableLog() {
  const lines: string[] = [];
  return { log: createLog("trace", { write: (line) => void lines.push(line) }), text: () => lines.join("") };
}

/** What ioredis says when a server refuses every command. */
async function refusedBy(text: string): Promise<unknown> {
  const server = createServer((socket) => socket.on("data", () => socket.write(`-${text}\r\n`)));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const redis = new Redis({ host: "127.0.0.1", port, lazyConnect: true, enableReadyCheck: false });
  redis.on("error", () => undefined);
  try {
    await redis.connect();
    return await redis.auth("a-user", "the-password-of-redis").catch((error: unknown) => error);
  } finally {
    redis.disconnect();
    server.close();
  }
}

it("tells what Redis said, and not the password it was sent", async () => {
  const error = await refusedBy("WRONGPASS invalid username-password pair");
  expect(JSON.stringify(error)).toContain("the-password-of-redis");
  const { log, text } = readableLog();
  log.warn({ err: error }, "the job queue has trouble");
  log.error({ err: new Error("a step could not be told", { cause: error }) }, "trying again");
  log.error({ err: new AggregateError([error], "none answered") }, "trying again");
  expect(text()).not.toContain("the-password-of-redis");
  expect(text().match(/WRONGPASS/g)?.length).toBeGreaterThanOrEqual(3);
  expect(text()).toContain('"type":"ReplyError"');
  expect(text()).toContain('"stack":"ReplyError: WRONGPASS');
});

it("tells what Node and the AWS SDK say in a word, and nothing of what they hold", () => {
  const { log, text } = readableLog();
  const failed = Object.assign(new Error("connect ECONNREFUSED"), {
    code: "ECONNREFUSED",
    port: 6379,
    $metadata: { httpStatusCode: 503, attempts: "secret-in-metadata" },
    config: { headers: { authorization: "secret-in-config" } },
    client: { password: "secret-in-client" },
    lastNodeError: Object.assign(new Error("NOAUTH"), { command: { args: ["secret-in-arguments"] } }),
  });
  log.warn({ err: failed }, "x");
  let badUrl: unknown;
  try {
    new URL("redis://:secret-in-url@host:port");
  } catch (error) {
    badUrl = error;
  }
  log.warn({ err: badUrl }, "x");
  log.warn({ err: { password: "secret-thrown" } }, "x");
  log.error(failed);
  expect(text()).not.toContain("secret-");
  for (const told of ["ECONNREFUSED", "6379", '"httpStatusCode":503', "NOAUTH", "ERR_INVALID_URL"])
    expect(text()).toContain(told);
});

it("ends with errors that lead back to themselves", () => {
  const { log, text } = readableLog();
  const error = new Error("round");
  error.cause = error;
  log.warn({ err: error }, "x");
  expect(text()).toContain("round");
});
