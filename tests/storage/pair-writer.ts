// Writes the same number into two records at once, again and again, until it is killed. Tells each that is done.
import { openStorage, parseStorageUrl } from "../../lib/storage/index.ts";

const [url = "", dataDir = ""] = process.argv.slice(2);
const { records } = await openStorage(parseStorageUrl(url), dataDir);
const last = await records.read("pair:a");
let from = last as { n: number } | null;
for (;;) {
  const to = { n: (from?.n ?? 0) + 1 };
  const done = await records.change([
    { key: "pair:a", from, to },
    { key: "pair:b", to },
  ]);
  if (!done) throw new Error("somebody else wrote");
  process.stdout.write(`${to.n}\n`);
  from = to;
}
