import { expect, test } from "vitest";
import { createRefusalLog } from "./refusal-log.ts";

test("one line a second, with how many more there were", () => {
  const lines: object[] = [];
  const log = { info() {}, error() {}, warn: (fields: object) => lines.push(fields) };
  let time = 10_000;
  const tell = createRefusalLog(log, () => time);
  const refusal = { code: "UNAUTHORIZED", peer: "10.0.0.7", method: "GET", path: "/v1/jobs" };
  for (let n = 0; n < 500; n++) tell(refusal);
  time += 1_000;
  tell({ ...refusal, path: "/v1/skills" });
  time += 5_000;
  tell(refusal);
  expect(lines).toEqual([
    refusal,
    { ...refusal, path: "/v1/skills", more_since_the_last_line: 499 },
    refusal,
  ]);
});
