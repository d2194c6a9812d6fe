import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { ulid } from "ulid";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { bucketOf, runPaths } from "../../lib/runs/paths.ts";
import { recordOf } from "../../lib/runs/record.test-support.ts";
import { isTerminal, runStatus } from "../../lib/runs/transitions.ts";
import { createRecordStore, onOneProcess } from "../../lib/storage/index.ts";
import { expectWholeStory, stepsOf } from "./event-chain.ts";
import { type LogFault, MortalDisk, type WriteFault } from "./mortal-disk.ts";
import { type Act, type Done, live } from "./one-life.ts";
import { replayed } from "./replay.ts";

let dataDir: string;
let disk: MortalDisk;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "lives-"));
  const file = await open(join(dataDir, "any"), "w");
  const files: FileHandle = Object.getPrototypeOf(file);
  await file.close();
  const { appendFile } = files;
  vi.spyOn(files, "appendFile").mockImplementation(async function (this: FileHandle, data) {
    await disk.append(this, String(data), (part) => appendFile.call(this, part));
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(dataDir, { recursive: true, force: true });
});

const kinds: fc.WeightedArbitrary<Act["kind"]>[] = [
  { arbitrary: fc.constant("become"), weight: 6 },
  { arbitrary: fc.constantFrom("note", "jot", "tell", "amend", "reopen"), weight: 4 },
];
const act: fc.Arbitrary<Act> = fc.record({
  kind: fc.oneof(...kinds),
  to: fc.constantFrom(...runStatus.options),
});
const writeFault: fc.Arbitrary<WriteFault> = fc.constantFrom("none", "none", "refused", "late");
const logFault: fc.Arbitrary<LogFault> = fc.constantFrom("none", "none", "torn");
const life = fc.record({
  acts: fc.array(act, { maxLength: 12 }),
  writeFaults: fc.array(writeFault, { maxLength: 6 }),
  logFaults: fc.array(logFault, { maxLength: 6 }),
  /** Where it ends: behind which write, with how much of the log behind that. */
  write: fc.nat(1_000),
  part: fc.nat(1_000),
});

test("wherever a process dies, the next one brings record and log of a run to the same step", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom("created" as const, "queued" as const),
      fc.array(life, { minLength: 1, maxLength: 4 }),
      async (first, lives) => {
        const id = ulid();
        disk = new MortalDisk(runPaths(dataDir, id).events);
        await createRecordStore(onOneProcess(disk.driver())).write(`active:${id}`, {
          ...recordOf(first, id),
          needs_upload: first === "created",
        });
        const { day, slot } = bucketOf(id);
        const [active, ended] = [`active:${id}`, `runs:${day}:${slot}:${id}`];
        const kept: Done[] = [];
        let end: unknown = null;
        for (const { acts, writeFaults, logFaults, write, part } of lives) {
          disk.begin(writeFaults, logFaults);
          const { done } = await live(disk, dataDir, id, acts);
          const died = disk.crash(write, part);
          // What was reported as done is: in the record, or, for the step to running, in the log.
          kept.push(
            ...done.filter(
              ({ to, writes, logBytes }) =>
                writes <= died.write && (to !== "running" || logBytes <= died.logBytes),
            ),
          );
          if (end !== null) expect(disk.record(ended)).toEqual(end);
          end = disk.record(ended);
        }
        const before = disk.log().whole;

        disk.begin();
        const { run } = await live(disk, dataDir, id, []);
        const { whole, events } = disk.log();
        expect(whole.startsWith(before)).toBe(true);
        expectWholeStory(events, first, run.status === "running" ? "queued" : run.status);
        const steps = stepsOf(events);
        expect(run.revision).toBe(steps.length);
        for (const { to, revision } of kept) expect(steps[revision - 1]).toMatchObject({ to, revision });
        if (end !== null) expect(disk.record(ended)).toEqual(end);
        const isEnded = isTerminal(run.status);
        expect(disk.record(isEnded ? ended : active)).toMatchObject({
          status: run.status,
          revision: run.revision,
        });
        expect(disk.record(isEnded ? active : ended)).toBeNull();

        const again = await live(disk, dataDir, id, []);
        expect(disk.log().whole).toBe(whole);
        expect(again.run).toMatchObject({ status: run.status, revision: run.revision });
        expect(again.taken).toBe(isEnded || run.status === "created" ? 0 : 1);
      },
    ),
    { numRuns: 80, ...replayed() },
  );
}, 600_000);
