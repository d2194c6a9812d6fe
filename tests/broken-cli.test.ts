import { chmod, mkdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import listEngines from "../functions/v1/engines/index.get.ts";
import getEvents from "../functions/v1/jobs/[request_id]/events/history.get.ts";
import { type Harness, plainPackage, startHarness } from "./harness.ts";
import { answering } from "./stand-in.ts";

/** CLIs that break every promise: the run fails clearly, memory and disk stay bounded, and the next run is served. */
let harness: Harness;
afterEach(() => harness.close());

const MiB = 1024 * 1024;

/** Puts a program in the place of codex that answers `--version`, its help and its sandbox probe, and then does this. */
async function putCli(turn: string, interpreter = "/bin/sh"): Promise<void> {
  const path = join(harness.config.npmPrefix, "bin/codex");
  await mkdir(join(harness.config.npmPrefix, "bin"), { recursive: true });
  const isProbe =
    '[ "$1" = --version ] && echo "codex-cli 0.169.0" && exit 0\n[ "$1" = exec ] && [ "$2" != --help ] || exit 0\n';
  const program =
    interpreter === "/bin/sh"
      ? `#!/bin/sh\n${isProbe}cat >/dev/null\n${turn}\n`
      : `#!${interpreter}\n${turn}`;
  await rm(path, { force: true });
  await writeFile(path, program);
  await chmod(path, 0o755);
}

async function start(env: Record<string, string> = {}): Promise<void> {
  harness = await startHarness({ env });
  await harness.writeSkill("s", plainPackage("s"));
}

async function runOnce(options: object = {}) {
  const accepted = await harness.submit({
    skill_id: "s",
    runtime_options: { no_cache: true, ...options },
  });
  expect(accepted.status).toBe(200);
  return harness.ended(accepted.body.request_id);
}

const printed = (lines: string[]) => `cat <<'END'\n${lines.join("\n")}\nEND`;

test.each([
  ["random bytes", "head -c 3000000 /dev/urandom", "AGENT_OUTPUT_MISSING"],
  [
    "bytes that are no UTF-8 and no lines",
    "printf '\\377\\376{\\200\\n\\n\\0\\0\\n'",
    "AGENT_OUTPUT_MISSING",
  ],
  [
    "JSON that is not its protocol",
    `${printed(['{"type":7}', "[[[", '{"a":', "null"])}`,
    "AGENT_OUTPUT_MISSING",
  ],
  ["nothing, and dies of a signal", "kill -SEGV $$", "PROCESS_EXIT_NONZERO"],
  ["its complaint on stderr only", "echo 'error: unexpected argument --x' >&2; exit 2", "AGENT_FAILED"],
])("a CLI that prints %s", async (_what, turn, code) => {
  await start();
  await putCli(turn);
  expect(await runOnce()).toMatchObject({ status: "failed", error: { code, message: expect.any(String) } });
  await putCli(printed(answering({ ok: true })));
  expect(await runOnce()).toMatchObject({ status: "succeeded" });
});

test("colours around the lines do not hide the answer", async () => {
  await start();
  await putCli(printed(answering({ ok: true }).map((line) => `\u001b[2K\u001b[32m${line}\u001b[0m`)));
  expect(await runOnce()).toMatchObject({ status: "succeeded" });
});

test("a gigabyte of output costs neither memory nor disk", { timeout: 120_000 }, async () => {
  await start();
  await putCli("yes 'not a line of any protocol, but there are very many of them' | head -c 1073741824");
  const before = process.memoryUsage().rss;
  let most = before;
  const watch = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss);
  }, 20);
  const { request_id } = (await harness.submit({ skill_id: "s" })).body;
  // Half a minute and more where another test has the other core.
  await expect
    .poll(() => harness.status(request_id), { timeout: 110_000, interval: 200 })
    .toMatchObject({
      status: "failed",
      error: { code: "AGENT_OUTPUT_MISSING" },
    });
  clearInterval(watch);
  const job = await harness.status(request_id);
  expect(most - before).toBeLessThan(300 * MiB);
  const log = join(harness.config.dataDir, job.workspaceDir, "../turn-1/stdout.log");
  expect((await stat(log)).size).toBeLessThan(65 * MiB);
});

test("messages without end fill neither memory nor the event log", async () => {
  await start();
  const message = JSON.stringify({
    type: "item.completed",
    item: { id: "i", type: "agent_message", text: "x".repeat(30_000) },
  });
  await putCli(`yes '${message}' | head -c 200000000`);
  const job = await runOnce();
  expect(job.status).toBe("failed");
  const log = join(harness.config.dataDir, job.workspaceDir, "../events.jsonl");
  expect((await stat(log)).size).toBeLessThan(66 * MiB);
  const { body } = await harness.call(getEvents, {
    params: { request_id: job.request_id },
    query: { from_seq: "2000", limit: "1000" },
  });
  const told = body.events.map(
    (event: { type: string; data: { code?: string } }) => event.data.code ?? event.type,
  );
  expect(told).toContain("EVENTS_CUT");
  expect(told.at(-1)).toBe("conversation.state.changed");
  expect(job.warnings.map(({ code }: { code: string }) => code)).toContain("EVENTS_CUT");
});

test("a silent CLI is ended when it has stalled, and not while it talks", async () => {
  await start({ SKILL_RUNNER_STALL_TIMEOUT_SECONDS: "1" });
  await putCli("sleep 60");
  expect(await runOnce()).toMatchObject({ status: "failed", error: { code: "AGENT_STALLED" } });
  await putCli(
    `for n in 1 2 3 4 5 6; do echo working >&2; sleep 0.4; done\n${printed(answering({ ok: true }))}`,
  );
  expect(await runOnce()).toMatchObject({ status: "succeeded" });
});

test.each([
  ["is no program", "\u0000\u0001", "/nonexistent/interpreter"],
  ["is missing", null, ""],
])("a CLI that %s", async (_what, text, interpreter) => {
  await start({ PATH: "/usr/bin:/bin" });
  if (text === null) await rm(join(harness.config.npmPrefix, "bin/codex"));
  else await putCli(text, interpreter);
  const accepted = await harness.submit({ skill_id: "s" });
  if (accepted.status !== 200) {
    expect(accepted).toMatchObject({ status: 409, body: { code: "ENGINE_NOT_INSTALLED" } });
  } else {
    const job = await harness.ended(accepted.body.request_id);
    expect(job).toMatchObject({ status: "failed", error: { code: "ENGINE_START_FAILED" } });
  }
  const { body } = await harness.call(listEngines);
  const codex = body.engines.find(({ engine }: { engine: string }) => engine === "codex");
  expect(codex).toMatchObject(
    text === null
      ? { present: false, how_to_install: expect.stringContaining("npm install") }
      : { present: true, error: expect.any(String) },
  );
});

test("JSON that is nested too deep to be written again fails the turn at most, never the server", async () => {
  await start();
  const deep = `${"[".repeat(20_000)}${"]".repeat(20_000)}`;
  const call = `{"type":"item.started","item":{"id":"c","type":"mcp_tool_call","server":"s","tool":"t","arguments":${deep}}}`;
  await putCli(printed([call, ...answering({ ok: true })]));
  expect(await runOnce()).toMatchObject({ status: "succeeded" });
});

test("a probe that hangs, with a child that holds its pipes, keeps no job for ever", {
  timeout: 90_000,
}, async () => {
  await start();
  await putCli("exec sleep 300", "/bin/sh");
  const path = join(harness.config.npmPrefix, "bin/codex");
  await rm(path);
  await writeFile(path, "#!/bin/sh\nsleep 300\necho never\n");
  await chmod(path, 0o755);
  const { body } = await harness.call(listEngines);
  expect(body.engines[0]).toMatchObject({ engine: "codex", present: true, error: expect.any(String) });
});
