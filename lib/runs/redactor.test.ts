import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createRedactor, redact, redacted, secretsOf } from "./redactor.ts";

/** The text that comes through when it arrives in these pieces. */
function through(secrets: readonly string[], pieces: readonly Buffer[]): string {
  const redactor = createRedactor(secrets);
  return Buffer.concat([...pieces.map((piece) => redactor.push(piece)), redactor.end()]).toString();
}

/** Pieces of a text, cut at these places. */
function cutAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const borders = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length];
  return borders.slice(1).map((border, n) => bytes.subarray(borders[n], border));
}

const cuts = fc.array(fc.nat(200), { maxLength: 20 });
// Few letters, so that a text is full of what nearly is a secret.
const few = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 12 });

test("no secret comes through, however the text is cut, and nothing else is lost", () => {
  const secrets = ["aabXaabYab", "aabXaabYabb-longer"] as const;
  const parts = fc.array(fc.oneof(few, fc.constantFrom(...secrets)), { maxLength: 12 });
  fc.assert(
    fc.property(parts, cuts, (drawn, places) => {
      const whole = drawn.join("");
      const clean = whole.replaceAll(secrets[1], redacted).replaceAll(secrets[0], redacted);
      expect(through(secrets, cutAt(Buffer.from(whole), places))).toBe(clean);
    }),
    { numRuns: 2_000 },
  );
});

test("whatever the secrets are, none stands in what comes through, and what is no secret does", () => {
  const secret = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 3, maxLength: 8 });
  fc.assert(
    fc.property(
      fc.array(secret, { minLength: 1, maxLength: 3 }),
      few,
      few,
      cuts,
      (secrets, one, other, places) => {
        const whole = `${one}${secrets.join("")}${other}`;
        const came = through(secrets, cutAt(Buffer.from(whole), places));
        for (const text of secrets) expect(came).not.toContain(text);
        const free = `<${"ab".repeat(3)}`.replaceAll("ab", "cd");
        expect(through(secrets, cutAt(Buffer.from(free + whole), places))).toContain(free);
      },
    ),
    { numRuns: 2_000 },
  );
});

test("where two secrets overlap, nothing of either stays", () => {
  const secrets = ["abcdefgh-1", "h-1-rest-of-key"];
  expect(through(secrets, [Buffer.from("<abcdefgh-1-rest-of-key>")])).toBe(`<${redacted}>`);
});

test("what cannot begin a secret is not held back", () => {
  const redactor = createRedactor(["sk-very-secret"]);
  expect(redactor.push(Buffer.from('{"type":"x"}\n')).toString()).toBe('{"type":"x"}\n');
  expect(redactor.push(Buffer.from("key: sk-ver")).toString()).toBe("key: ");
  expect(redactor.push(Buffer.from("satile\n")).toString()).toBe("sk-versatile\n");
});

test("a secret is known in the spelling of JSON and of a URL, too", () => {
  const secret = 'p"ss/w\\rd+é\t';
  const text = `${JSON.stringify({ secret })} ${JSON.stringify(JSON.stringify(secret))} ${encodeURIComponent(secret)} ${secret}`;
  expect(through([secret], [Buffer.from(text)])).toBe(
    `{"secret":"${redacted}"} "\\"${redacted}\\"" ${redacted} ${redacted}`,
  );
});

test("half a character in a secret breaks nothing", () => {
  expect(through(["\ud800abcdefghijklmnop"], [Buffer.from("\ufffdabcdefghijklmnop!")])).toBe(`${redacted}!`);
});

test("each piece is gone through once, however often a secret stands in it", () => {
  const short = "0123456789abcdef";
  const long = `${"x".repeat(4_000)}${"y".repeat(4_000)}`;
  const piece = Buffer.from(short.repeat(4_096));
  const redactor = createRedactor([short, long, "a".repeat(8_000)]);
  // What looks at the long ones again behind each short one takes half a minute for one piece, and is ended.
  for (let n = 0; n < 20; n++) expect(redactor.push(piece).length).toBe(4_096 * redacted.length);
});

test("secrets are an agent's keys and what is called one; settings, paths, numbers and short texts are none", () => {
  const environment = {
    OPENAI_API_KEY: " sk-0123456789abcdef\n",
    MY_TOKEN: "token-0123456789ab",
    SIGNING_PRIVATE_KEY: "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nshort\n",
    DB_PASSWORD: "short",
    REGION: "europe-west1-and-more",
    KEYWORDS: "command_execution",
    MAX_TOKENS: "1000000000000000000",
    RATE_TOKEN: "1000000000000000000",
    GEMINI_API_KEY_AUTH_MECHANISM: "x-goog-api-key-or-so",
    GOOGLE_APPLICATION_CREDENTIALS: "/opt/config/gemini/service.json",
    ODD_NAME: "odd-0123456789abcdef",
    // One in 64 keys in base64 begins so; the others are files, or called so.
    BASE64_KEY_TOKEN: "/9j4AAQSkZJRgABAQAAAQABAAD",
    SOCKET_SECRET: fileURLToPath(import.meta.url),
    MY_CREDENTIALS: "/run/not-there/credentials.json",
    PIN_PASSWORD: "4929123412341234",
    GROUPED_PASSWORD: "4929 1234 1234 1234",
  };
  expect(secretsOf(environment, ["ODD_NAME", "OPENAI_API_KEY"])).toEqual([
    "sk-0123456789abcdef",
    "odd-0123456789abcdef",
    "token-0123456789ab",
    "-----BEGIN KEY-----",
    "MIIEvQIBADANBgkqhkiG",
    "/9j4AAQSkZJRgABAQAAAQABAAD",
    "4929123412341234",
    "4929 1234 1234 1234",
  ]);
  const many = Object.fromEntries(
    [..."abcdefgh"].map((name) => [`${name}_SECRET`, `${name}-line-012345678\n`.repeat(9)]),
  );
  expect(secretsOf({ ...many, OPENAI_API_KEY: "sk-0123456789abcdef" }, ["OPENAI_API_KEY"])[0]).toBe(
    "sk-0123456789abcdef",
  );
});

test("a whole text loses its secrets, also one that ends it", () => {
  expect(redact("key sk-0123456789abcdef, again sk-0123456789abcdef", ["sk-0123456789abcdef"])).toBe(
    "key [redacted], again [redacted]",
  );
  expect(redact("nothing in it", [])).toBe("nothing in it");
});
