import fc from "fast-check";
import { expect, test } from "vitest";
import { createRedactor, redacted, secretsOf } from "./redactor.ts";

/** The text that comes through when it arrives in these pieces. */
function through(secrets: string[], pieces: Buffer[]): string {
  const redactor = createRedactor(secrets);
  return Buffer.concat([...pieces.map((piece) => redactor.push(piece)), redactor.end()]).toString();
}

test("no secret comes through, however the text is cut, and nothing else is lost", () => {
  // Few letters, so that a text is full of what nearly is a secret.
  const text = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 12 });
  const parts = fc.array(fc.oneof(text, fc.constant("<1>"), fc.constant("<2>")), { maxLength: 12 });
  fc.assert(
    fc.property(parts, fc.array(fc.nat(200), { maxLength: 20 }), (drawn, cuts) => {
      const secrets = ["aabXaabYab", "aabXaabYabb-longer"];
      const whole = drawn
        .map((part) => part.replace("<1>", secrets[0] ?? "").replace("<2>", secrets[1] ?? ""))
        .join("");
      const bytes = Buffer.from(whole);
      const borders = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
      const pieces = borders.slice(1).map((border, n) => bytes.subarray(borders[n], border));
      expect(through(secrets, pieces)).toBe(
        whole.replaceAll(secrets[1] ?? "", redacted).replaceAll(secrets[0] ?? "", redacted),
      );
    }),
    { numRuns: 2_000 },
  );
});

test("what cannot begin a secret is not held back", () => {
  const redactor = createRedactor(["sk-very-secret"]);
  expect(redactor.push(Buffer.from('{"type":"x"}\n')).toString()).toBe('{"type":"x"}\n');
  expect(redactor.push(Buffer.from("key: sk-ver")).toString()).toBe("key: ");
  expect(redactor.push(Buffer.from("satile\n")).toString()).toBe("sk-versatile\n");
});

test("a secret is known in the spelling of JSON and of a URL, too", () => {
  const secret = 'p"ss/w\\rd+é\n';
  const text = `${JSON.stringify({ secret })} ${encodeURIComponent(secret)} ${secret}`;
  expect(through([secret], [Buffer.from(text)])).toBe(`{"secret":"${redacted}"} ${redacted} ${redacted}`);
});

test("secrets are an agent's keys and what is called one; short ones and other settings are none", () => {
  const environment = {
    OPENAI_API_KEY: "sk-0123456789",
    MY_TOKEN: "token-0123456789",
    DB_PASSWORD: "short",
    REGION: "europe-west1",
    ODD_NAME: "odd-0123456789",
    PATH: "/usr/bin:/bin",
  };
  expect(secretsOf(environment, ["ODD_NAME"])).toEqual([
    "sk-0123456789",
    "token-0123456789",
    "odd-0123456789",
  ]);
});
