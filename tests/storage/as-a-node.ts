/** Runs tests of the life of jobs against a server that is one of several: what holds for one alone must hold there, too. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { redisServer } from "./servers.ts";

const files = ["interactive", "run-lifecycle", "waiting-for-login", "redaction"].map(
  (name) => `tests/${name}.test.ts`,
);

const redis = await redisServer();
const run = spawn("npx", ["vitest", "run", "--project", "unit", ...files], {
  stdio: "inherit",
  env: { ...process.env, HARNESS_REDIS: redis.url },
});
const [code] = await once(run, "exit");
await redis.remove();
process.exit(typeof code === "number" ? code : 1);
