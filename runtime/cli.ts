import { resolve } from "node:path";
import { parseStorageUrl, type StoragePlace } from "../lib/storage/index.ts";
import { readConfig } from "./config.ts";
import { describeError } from "./describe-error.ts";
import { copyStorage } from "./storage-copy.ts";

const usage = `Usage: skill-runner storage copy [--overwrite] FROM TO

Copies all jobs and what else the server keeps from one storage to another, files of jobs included. Stop the server first.
FROM and TO are what SKILL_RUNNER_STORAGE may be: fs:, sqlite:, redis://..., postgres://..., s3://... (docs/storage.md). What
lies in folders is looked for in SKILL_RUNNER_DATA_DIR. TO must be empty; with --overwrite, what a server kept there is removed first.`;

class UsageError extends Error {}

/** @throws UsageError */
function readArguments(args: readonly string[]) {
  const [room, verb, ...rest] = args;
  if (room !== "storage" || verb !== "copy") throw new UsageError(usage);
  const overwrite = rest.includes("--overwrite");
  const [from, to, ...more] = rest.filter((arg) => arg !== "--overwrite");
  if (from === undefined || to === undefined || more.length > 0) throw new UsageError(usage);
  return { from: placeOf("FROM", from), to: placeOf("TO", to), overwrite };
}

function placeOf(name: string, url: string): StoragePlace {
  try {
    return parseStorageUrl(url);
  } catch (error) {
    throw new UsageError(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const tellErrors = (_key: string, value: unknown) => (value instanceof Error ? describeError(value) : value);

/** The exit code of one call of scripts/skill-runner.sh. */
async function main(args: readonly string[]): Promise<number> {
  if (args.includes("--help") || args.length === 0) {
    console.log(usage);
    return 0;
  }
  const copy = readArguments(args);
  const { dataDir } = readConfig(process.env, resolve(process.cwd()));
  const { records, folders, leftOut } = await copyStorage({
    ...copy,
    dataDir,
    environment: process.env,
    log: { warn: (fields, message) => console.error(`${message}: ${JSON.stringify(fields, tellErrors)}`) },
  });
  const files = folders === 0 ? "" : `, and the files of ${folders} jobs`;
  if (leftOut > 0) console.error(`${leftOut} could not be read and stayed behind: see above.`);
  console.log(
    `${records} records copied${files}. Set SKILL_RUNNER_STORAGE to the second one and start the server.`,
  );
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
