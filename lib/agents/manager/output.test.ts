import { expect, test } from "vitest";
import { boundedText, createCleaner } from "./output.ts";

test("output of any length is kept by its beginning and its end", () => {
  const text = boundedText();
  text.add("begin ");
  expect(text.text()).toBe("begin ");
  for (let n = 0; n < 200; n++) text.add(`${n} `.repeat(1_000));
  text.add("end");
  expect(text.text()).toMatch(/^begin 0 0 .*\n\.\.\. \d+ characters left out \.\.\.\n.*199 end$/s);
  expect(text.text().length).toBeLessThan(66_000);
});

test("host paths and credentials do not leave the server", () => {
  const clean = createCleaner({ "/opt/cache/npm": "$NPM_CONFIG_PREFIX", "/root": "~", "/": "never" });
  expect(clean("npm error path /opt/cache/npm/lib/x, log in /root/.npm/_logs/1.log")).toBe(
    "npm error path $NPM_CONFIG_PREFIX/lib/x, log in ~/.npm/_logs/1.log",
  );
  expect(clean("at (/usr/lib/node_modules/npm/cli.js:3) '/srv/secret-place/a.txt'")).toBe(
    "at (.../cli.js:3) '.../a.txt'",
  );
  expect(clean("GET https://user:pass@registry.test/@openai/codex 404")).toBe(
    "GET https://***@registry.test/@openai/codex 404",
  );
  expect(clean("//r.test/:_authToken=npm_abc")).not.toContain("npm_abc");
  expect(clean("npm warn deprecated a/b ../c 1/2 and/or")).toBe("npm warn deprecated a/b ../c 1/2 and/or");
});
