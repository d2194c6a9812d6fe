import { makeZip } from "../../lib/archives/zip-fixture.ts";
import type { Seeded } from "../crash/seeded.ts";

/** Texts that have broken servers before: paths, headers, formats, prototypes, scripts, numbers, encodings. */
const texts = [
  "",
  " ",
  ".",
  "..",
  "../../../../etc/passwd",
  "..\\..\\windows\\win.ini",
  "/etc/passwd",
  "file:///etc/passwd",
  "\\\\host\\share",
  "C:\\boot.ini",
  "a/../../b",
  "a//b",
  "a/./b",
  "~root",
  "$HOME",
  "`id`",
  "$(id)",
  ";id",
  "|id",
  "{{7*7}}",
  "{% for i in range(10**9) %}x{% endfor %}",
  "$" + "{jndi:ldap://127.0.0.1/a}",
  "%00",
  "%2e%2e%2f",
  "%c0%ae%c0%ae/",
  "%",
  "%zz",
  "\u0000",
  "a\u0000b",
  "a\r\nX-Injected: 1",
  "\u2028\u2029",
  "\ud800",
  "\u202egnp.exe",
  "İstanbul",
  "ﬃ",
  "é",
  "e\u0301",
  "💥".repeat(200),
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "then",
  "null",
  "undefined",
  "NaN",
  "-0",
  "1e309",
  "9007199254740993",
  "-1",
  "0x10",
  "1.5",
  "true",
  "[]",
  "{}",
  "<script>alert(1)</script>",
  "' OR 1=1 --",
  "-rf",
  "--help",
  "x".repeat(300),
  "x".repeat(5_000),
  "CON",
  "aux.txt",
  "a:b",
  "a*b?",
  "01M8DAFQQ69ND302P15Z01539M",
  "7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
  "01m8dafqq69nd302p15z01539m",
  "2026-11-24T00:00:00Z",
  "9999-99-99T99:99:99Z",
  "bytes=0-0",
  "bytes=5-1",
  "bytes=-1",
  "bytes=99999999999999999999-",
  "wait=99999999999",
  "haiku",
  "asks",
  "codex",
] as const;

export function hostileText(random: Seeded): string {
  if (random.chance(0.8)) return random.pick(texts);
  const length = random.between(1, 40);
  return Array.from({ length }, () => String.fromCodePoint(random.between(0, 0x2fff))).join("");
}

/** Any JSON but what was asked for. */
export function hostileValue(random: Seeded, depth = 0): unknown {
  const kind = random.between(0, depth > 3 ? 5 : 8);
  if (kind === 0) return null;
  if (kind === 1) return random.chance(0.5);
  if (kind === 2) return random.pick([0, -1, 1.5, 1e308, -1e308, Number.MAX_SAFE_INTEGER, 2 ** 53, 5e-324]);
  if (kind < 6) return hostileText(random);
  if (kind === 6) return Array.from({ length: random.between(0, 5) }, () => hostileValue(random, depth + 1));
  const entries = Array.from({ length: random.between(0, 5) }, () => [
    hostileText(random),
    hostileValue(random, depth + 1),
  ]);
  return Object.fromEntries(entries);
}

/** Spoils a JSON text: cut off, with bytes of another encoding, very deep, with keys that touch prototypes. */
export function spoilJson(random: Seeded, text: string): Buffer {
  switch (random.between(0, 7)) {
    case 0:
      return Buffer.from(text.slice(0, random.between(0, text.length)));
    case 1:
      return Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, "utf16le")]);
    case 2:
      return Buffer.from(`\ufeff${text}`);
    case 3:
      return Buffer.from(`${"[".repeat(20_000)}${"]".repeat(20_000)}`);
    case 4:
      return Buffer.from(`${'{"input":'.repeat(5_000)}1${"}".repeat(5_000)}`);
    case 5:
      return Buffer.from(
        `{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},${text.slice(1)}`,
      );
    case 6:
      return Buffer.from(`${text}${text}`);
    default: {
      const bytes = Buffer.from(text);
      if (bytes.length > 0) bytes[random.between(0, bytes.length - 1)] = random.between(0, 255);
      return bytes;
    }
  }
}

const link = 0o120777;
const skill = [
  { name: "SKILL.md", content: "---\nname: fuzzed\ndescription: d\n---\nDo.\n" },
  { name: "assets/runner.json", content: '{"id":"fuzzed","version":"1.0.0"}' },
];
const named = (name: string) => makeZip([{ name, content: "x" }]);

/** Archives: good ones, those that break out, those that lie, those that burst. */
const zips: readonly [Buffer, ...Buffer[]] = [
  makeZip([{ name: "notes.md", content: "# Tides\n" }]),
  makeZip(skill),
  makeZip(skill.map((entry) => ({ ...entry, name: `fuzzed/${entry.name}` }))),
  makeZip([]),
  named("../escaped.txt"),
  named("a/../../escaped.txt"),
  named("/tmp/escaped.txt"),
  named("..\\escaped.txt"),
  named("C:\\escaped.txt"),
  named("a\u0000.txt"),
  named(".interaction-replies/1/x"),
  named("x".repeat(1_000)),
  named(Array.from({ length: 300 }, () => "d").join("/")),
  makeZip([
    { name: "notes.md", content: "../../..", mode: link },
    { name: "notes.md/escaped.txt", content: "x" },
  ]),
  makeZip([{ name: "notes.md", content: "/etc/passwd", mode: link }]),
  makeZip([
    { name: "a", content: "x" },
    { name: "a/b", content: "x" },
  ]),
  makeZip([
    { name: "A.md", content: "x" },
    { name: "a.md", content: "y" },
    { name: "a.md", content: "z" },
  ]),
  makeZip([{ name: "bomb", content: Buffer.alloc(2_000_000) }]),
  makeZip([{ name: "liar", content: "x", declared: { bytes: 0xfffffffe, packedBytes: 0xfffffffe } }]),
  makeZip([{ name: "liar", content: "x", declared: { offset: 0xfffffff0 } }]),
  makeZip([{ name: "notes.md", content: "x" }], 60_000),
  makeZip([...skill, { name: "assets/output.schema.json", content: '{"$ref":"#"}' }]),
  makeZip([...skill, { name: "assets/output.schema.json", content: '{"pattern":"(a+)+$","type":"string"}' }]),
  makeZip([...skill, { name: "assets/input.schema.json", content: "[".repeat(50_000) }]),
  makeZip([{ name: "SKILL.md", content: "---\na: &a [*a,*a]\n---\n" }]),
  makeZip([{ name: "SKILL.md", content: `---\n${"a: &x [1]\n".repeat(2_000)}---\n` }]),
];

export function hostileZip(random: Seeded): Buffer {
  const zip = Buffer.from(random.pick(zips));
  if (random.chance(0.7) || zip.length === 0) return zip;
  if (random.chance(0.5)) return zip.subarray(0, random.between(0, zip.length));
  for (let n = random.between(1, 4); n > 0; n--)
    zip[random.between(0, zip.length - 1)] = random.between(0, 255);
  return zip;
}
