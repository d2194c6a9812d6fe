import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fakeProc } from "./fake-proc.ts";
import { createProcessForest } from "./process-forest.ts";

let proc: ReturnType<typeof fakeProc>;
beforeEach(() => {
  proc = fakeProc();
});
afterEach(() => proc.remove());

const leaders = new Map([
  [100, "RUN=a"],
  [200, "RUN=b"],
]);
const setUp = () => {
  const forest = createProcessForest(proc.folder);
  return async (who: ReadonlyMap<number, string> = leaders) => {
    const trees = await forest.look(who);
    return [...trees].map(([leader, members]) => [leader, members.map(({ pid }) => pid).sort()]);
  };
};

describe("who belongs to an agent", () => {
  test("its group, its session and all its descendants, and nobody else", async () => {
    proc.put(1, { start: 1 });
    proc.put(50, { start: 90 });
    proc.put(51, { start: 150, parent: 50, group: 50, session: 50 });
    proc.put(100);
    proc.put(101, { parent: 1, group: 100, session: 7 });
    proc.put(102, { parent: 1, group: 102, session: 100 });
    proc.put(103, { parent: 102 });
    // Its parent comes after it in the listing: numbers start again from the bottom.
    proc.put(60, { parent: 103 });
    proc.put(200);
    proc.put(201, { parent: 200 });
    expect(await setUp()()).toEqual([
      [100, [100, 101, 102, 103, 60]],
      [200, [200, 201]],
    ]);
  });

  test("who was seen with it, wherever it moves to later", async () => {
    const look = setUp();
    proc.put(100);
    proc.put(101, { parent: 100 });
    await look();
    proc.put(101, { parent: 1, group: 101, session: 101 });
    proc.put(102, { parent: 101 });
    expect(await look()).toEqual([
      [100, [100, 101, 102]],
      [200, []],
    ]);
  });

  test("who carries its mark and moved away before anybody looked, with its children", async () => {
    proc.put(100);
    proc.put(300, { start: 150, files: { environ: "A=1\0RUN=a\0B=2\0" } });
    proc.put(301, { start: 160, parent: 300 });
    proc.put(302, { start: 160, files: { environ: "XRUN=a\0RUN=ab\0" } });
    const look = setUp();
    await look();
    expect(await look()).toEqual([
      [100, [100, 300, 301]],
      [200, []],
    ]);
    proc.put(303, { start: 170, parent: 300 });
    expect(await look()).toEqual([
      [100, [100, 300, 301, 303]],
      [200, []],
    ]);
  });

  test("not who is older than it, whatever it carries", async () => {
    proc.put(100);
    proc.put(90, { start: 99, files: { environ: "RUN=a\0" } });
    expect(await setUp()()).toEqual([
      [100, [100]],
      [200, []],
    ]);
  });

  test("not a process that got the number of one that did", async () => {
    const look = setUp();
    proc.put(100);
    proc.put(101, { parent: 100 });
    await look();
    proc.end(101);
    proc.put(101, { start: 500, parent: 1 });
    expect(await look()).toEqual([
      [100, [100]],
      [200, []],
    ]);
  });
});

test("a circle of parents, as numbers that are used again can make one, is nobody's", async () => {
  proc.put(10, { parent: 11 });
  proc.put(11, { parent: 12 });
  proc.put(12, { parent: 10 });
  proc.put(100);
  expect(await setUp()()).toEqual([
    [100, [100]],
    [200, []],
  ]);
});

test("an agent that comes later is found, though others were looked at before", async () => {
  const look = setUp();
  proc.put(100);
  await look(new Map([[100, "RUN=a"]]));
  proc.put(200);
  proc.put(201, { parent: 200 });
  expect(await look()).toEqual([
    [100, [100]],
    [200, [200, 201]],
  ]);
  expect(await look(new Map([[200, "RUN=b"]]))).toEqual([[200, [200, 201]]]);
});

test("what is known to be nobody's is not read again", async () => {
  const look = setUp();
  proc.put(100);
  proc.put(50);
  await look();
  // Would be a member now, if somebody looked.
  proc.put(50, { parent: 100 });
  expect(await look()).toEqual([
    [100, [100]],
    [200, []],
  ]);
});

test("where there is no /proc there is nobody", async () => {
  const trees = await createProcessForest("/nowhere").look(leaders);
  expect([...trees]).toEqual([
    [100, []],
    [200, []],
  ]);
});
