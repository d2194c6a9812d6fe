import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RecordStore } from "./record-store.ts";

export interface Backend {
  /** A store that others do not write to meanwhile. Opened twice, it is the same one twice. */
  open(): Promise<RecordStore>;
  /** Two processes may be at work in it at a time. */
  isShared: boolean;
}

const counter = (value: unknown): number => (value as { n: number } | null)?.n ?? 0;

/** What every storage backend must do, in the words of `RecordStore`. */
export function describeConformance(name: string, backend: Backend): void {
  describe(`record store on ${name}`, () => {
    let store: RecordStore;
    /** As another process would see it, where there may be one. */
    let other: RecordStore;
    let used = 0;
    /** A prefix of its own for each test. */
    const fresh = () => `t${used++}`;
    beforeAll(async () => {
      store = await backend.open();
      other = backend.isShared ? await backend.open() : store;
    });
    afterAll(async () => {
      await store.close();
      if (other !== store) await other.close();
    });
    const writeAll = (keys: readonly string[]) => Promise.all(keys.map((key) => store.write(key, { key })));

    test("reads back what was written, and null for what was not", async () => {
      const at = fresh();
      expect(await store.read(`${at}:a`)).toBeNull();
      expect(await store.holds(`${at}:a`)).toBe(false);
      const value = {
        n: 1,
        text: 'é\n"\u2028 \u{1f600}',
        nested: { list: [1, null] },
        big: "x".repeat(1_000_000),
        ...(JSON.parse('{"constructor": {"prototype": {"a": 1}}, "2": 1, "1": 2}') as object),
      };
      await store.write(`${at}:a`, value);
      expect(await other.read(`${at}:a`)).toEqual(value);
      expect([await other.holds(`${at}:a`), await other.holds(at)]).toEqual([true, false]);
      await store.write(`${at}:a`, { n: 2 });
      expect(await other.read(`${at}:a`)).toEqual({ n: 2 });
      await store.remove(`${at}:a`);
      expect(await other.read(`${at}:a`)).toBeNull();
      expect(await other.holds(`${at}:a`)).toBe(false);
      await store.remove(`${at}:a`);
    });

    test("keeps bytes as they are", async () => {
      const at = fresh();
      const bytes = randomBytes(3_000_001);
      expect(await store.readBytes(`${at}:b`)).toBeNull();
      await store.writeBytes(`${at}:b`, bytes);
      expect(Buffer.from((await other.readBytes(`${at}:b`)) ?? []).equals(bytes)).toBe(true);
      await store.writeBytes(`${at}:b`, Buffer.of(0, 255, 13, 10));
      expect([...((await other.readBytes(`${at}:b`)) ?? [])]).toEqual([0, 255, 13, 10]);
      expect(await store.children(at)).toEqual(["b"]);
      await store.remove(`${at}:b`);
      expect(await store.readBytes(`${at}:b`)).toBeNull();
    });

    test("lists one level, ascending, folders and records alike", async () => {
      const at = fresh();
      const names = ["a", "a-b", "a.b", "a~", "aa", "b:x", "b-1:x", "b:y:z", "c", "Z", "0", "_"];
      await writeAll(names.map((name) => `${at}:${name}`));
      const wanted = ["0", "Z", "_", "a", "a-b", "a.b", "aa", "a~", "b", "b-1", "c"];
      expect(await other.children(at)).toEqual(wanted);
      expect(await store.children(at, { reverse: true })).toEqual([...wanted].reverse());
      expect(await store.children(`${at}:b`)).toEqual(["x", "y"]);
      expect(await store.children(`${at}:b:y`)).toEqual(["z"]);
      expect(await store.children(`${at}:nothing`)).toEqual([]);
      expect(await store.read(`${at}:b`)).toBeNull();
      expect(await store.readBytes(`${at}:b`)).toBeNull();
      expect(await store.children("")).toContain(at);
    });

    test("gives pages, either way, from any name on, also from one that is not there", async () => {
      const at = fresh();
      const names = Array.from({ length: 130 }, (_, n) => `n${String(n).padStart(3, "0")}`);
      await writeAll(names.map((name, n) => (n % 10 === 0 ? `${at}:${name}:below:it` : `${at}:${name}`)));
      for (const reverse of [false, true]) {
        const order = reverse ? [...names].reverse() : names;
        const seen: string[] = [];
        for (;;) {
          const page = await store.children(at, { reverse, limit: 7, beyond: seen.at(-1) });
          expect(page.length).toBeLessThanOrEqual(7);
          if (page.length === 0) break;
          seen.push(...page);
        }
        expect(seen).toEqual(order);
      }
      expect(await store.children(at, { beyond: "n0105", limit: 2 })).toEqual(["n011", "n012"]);
      expect(await store.children(at, { beyond: "n0105", limit: 2, reverse: true })).toEqual([
        "n010",
        "n009",
      ]);
      expect(await store.children(at, { beyond: "a" })).toEqual(names);
      expect(await store.children(at, { beyond: "a", reverse: true })).toEqual([]);
    });

    test("clears what is below a prefix, and nothing beside it", async () => {
      const at = fresh();
      const kept = [`${at}:1-`, `${at}:10:a`, `${at}:2:c`];
      await writeAll([...kept, `${at}:1:a`, `${at}:1:b`, `${at}:1:c:d`]);
      await store.clear(`${at}:1`);
      expect(await store.children(at)).toEqual(["1-", "10", "2"]);
      for (const key of kept) expect(await other.read(key)).toEqual({ key });
      expect(await other.read(`${at}:1:c:d`)).toBeNull();
      await store.clear(`${at}:1`);
    });

    test("stores a record where there is none: one of many at once", async () => {
      const at = fresh();
      for (let round = 0; round < 3; round++) {
        const key = `${at}:${round}`;
        const made = await Promise.all(
          Array.from({ length: 12 }, (_, n) => (n % 2 === 0 ? store : other).create(key, { n })),
        );
        expect(made.filter(Boolean)).toHaveLength(1);
        expect(await other.read(key)).toEqual({ n: made.indexOf(true) });
        expect(await store.create(key, { n: 99 })).toBe(false);
        expect(await store.change([{ key, to: null }])).toBe(true);
      }
      expect(await store.children(at)).toEqual([]);
    });

    test("changes all or nothing, by what stands there", async () => {
      const at = fresh();
      const [a, b, c] = [`${at}:a`, `${at}:b`, `${at}:c`];
      const all = async () => [await other.read(a), await other.read(b), await other.read(c)];
      expect(
        await store.change([
          { key: a, from: null, to: { n: 1 } },
          { key: b, to: { n: 1 } },
        ]),
      ).toBe(true);
      expect(await all()).toEqual([{ n: 1 }, { n: 1 }, null]);
      const refused = [
        [
          { key: a, from: null, to: { n: 2 } },
          { key: b, to: { n: 2 } },
        ],
        [
          { key: a, from: { n: 7 }, to: { n: 2 } },
          { key: c, to: { n: 2 } },
        ],
        [
          { key: a, from: { n: 1 }, to: { n: 2 } },
          { key: b, from: { n: 7 }, to: { n: 2 } },
        ],
        [
          { key: a, from: { n: 1 }, to: { n: 2 } },
          { key: c, from: { n: 1 }, to: { n: 2 } },
        ],
        [{ key: a, from: { n: 7 }, to: null }],
        [{ key: c, from: { n: 7 }, to: null }],
      ];
      for (const changes of refused) expect(await store.change(changes)).toBe(false);
      expect(await all()).toEqual([{ n: 1 }, { n: 1 }, null]);
      const moved = [
        { key: a, from: { n: 1 }, to: { n: 1 } },
        { key: b, to: null },
        { key: c, to: { n: 3 } },
      ];
      expect(await other.change(moved)).toBe(true);
      expect(await all()).toEqual([{ n: 1 }, null, { n: 3 }]);
      expect(
        await store.change([
          { key: a, from: { n: 1 }, to: null },
          { key: c, to: null },
        ]),
      ).toBe(true);
      expect(await all()).toEqual([null, null, null]);
      expect(await store.children(at)).toEqual([]);
      expect(await store.create(a, { n: 4 })).toBe(true);
    });

    test("many who count in one record lose no step, and what goes with it goes along", async () => {
      const key = `${fresh()}:count`;
      const step = async (by: RecordStore, who: string) => {
        for (;;) {
          const from = (await by.read(key)) as object | null;
          const to = { n: counter(from) + 1 };
          if (
            await by.change([
              { key, from, to },
              { key: `${key}-${who}`, to },
            ])
          )
            return to.n;
        }
      };
      const took = await Promise.all(
        Array.from({ length: 8 }, async (_, n) => {
          const steps: number[] = [];
          for (let i = 0; i < 4; i++) steps.push(await step(n % 2 === 0 ? store : other, String(n)));
          expect(counter(await store.read(`${key}-${n}`))).toBe(steps.at(-1));
          return steps;
        }),
      );
      expect(took.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 32 }, (_, n) => n + 1));
      expect(counter(await store.read(key))).toBe(32);
    });

    test.each(["..", "a:.hidden", "a:b/c", "a::b", "a:b!", "a:é", 'a:"', "", "a?b", "a b"])(
      "refuses the key %j",
      async (key) => {
        await expect(store.write(key, {})).rejects.toMatchObject({ code: "STORAGE_FAILED" });
        await expect(store.create(key, {})).rejects.toMatchObject({ code: "STORAGE_FAILED" });
      },
    );
  });
}
