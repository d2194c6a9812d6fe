// Writes in every way at once, again and again, until its stdin ends. Tells "writing" when each way works, "refused" when each
// failed. A refusal that is not what a storage that is away must say ends it.
import { setTimeout as sleep } from "node:timers/promises";
import { mediumFailure, openStorage, parseStorageUrl } from "../../lib/storage/index.ts";

const [url = "", dataDir = ""] = process.argv.slice(2);
const { records } = await openStorage(parseStorageUrl(url), dataDir);
let isOver = false;
process.stdin.on("end", () => {
  isOver = true;
});
process.stdin.resume();

const ways: ((at: string, n: number) => Promise<unknown>)[] = [
  (at, n) => records.create(`${at}:made${n}`, { n }),
  (at, n) => records.change([`${at}:a`, `${at}:b`].map((key) => ({ key, to: { n } }))),
  (at, n) => records.write(`${at}:c`, { n }),
  (at) => records.read(`${at}:c`),
  (at) => records.children(at, { limit: 5 }),
];
const works = ways.map(() => false);
let told = "";

async function keepOn(way: (typeof ways)[number], at: number): Promise<void> {
  for (let n = 0; !isOver; n++) {
    try {
      await way(`w${at}`, n);
      works[at] = true;
    } catch (error) {
      works[at] = false;
      const isRefusal = error instanceof Error && "code" in error && error.code === "STORAGE_FAILED";
      if (!isRefusal || mediumFailure(error) !== "UNREACHABLE") throw error;
      await sleep(10);
    }
    const state = works.every(Boolean) ? "writing" : works.some(Boolean) ? told : "refused";
    if (state !== told) process.stdout.write(`${state}\n`);
    told = state;
  }
}

await Promise.all(ways.flatMap((way, at) => [keepOn(way, at), keepOn(way, at)]));
await records.close();
