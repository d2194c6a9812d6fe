import { isUtf8 } from "node:buffer";
import { type Entry, getFileNameLowLevel } from "yauzl";
import type { Refusal } from "./refusals.ts";

const unicodePathField = 0x7075;
const longestSegmentBytes = 255;
const longestPathBytes = 1024;
const deepestPath = 32;

/** An entry's name as its maker meant it, not yet checked. Backslashes are left alone. */
export function decodeName(entry: Entry): string {
  const { generalPurposeBitFlag: flags, fileNameRaw: raw, extraFields } = entry;
  const hasUnicodePath = extraFields.some((field) => field.id === unicodePathField);
  // macOS writes UTF-8 names without the flag that says so; read as CP437 they would be garbled
  if (!hasUnicodePath && isUtf8(raw)) return raw.toString("utf8");
  return getFileNameLowLevel(flags, raw, extraFields, true);
}

type Rule = Refusal & { breaks(path: string, segments: readonly string[]): boolean };

const rename = "Rename it and make the zip again.";

const rules: readonly Rule[] = [
  { problem: "has no name", remedy: rename, breaks: (path) => path === "" },
  {
    problem: "has a name that is not valid Unicode",
    remedy: rename,
    breaks: (path) => path.includes("\uFFFD"),
  },
  {
    problem: "has control characters in its name",
    remedy: rename,
    breaks: (path) => /\p{Cc}/u.test(path),
  },
  {
    problem: "has a backslash in its name",
    remedy: "Make the zip with a tool that separates folders with forward slashes.",
    breaks: (path) => path.includes("\\"),
  },
  {
    problem: "has an absolute name",
    remedy: "Make the zip with names relative to its root.",
    breaks: (path) => path.startsWith("/") || /^[A-Za-z]:/.test(path),
  },
  {
    problem: 'has a ".." in its path',
    remedy: "Make the zip with names that stay below its root.",
    breaks: (_path, segments) => segments.includes(".."),
  },
  {
    problem: 'has an empty or "." segment in its path',
    remedy: "Make the zip with plain relative names.",
    breaks: (_path, segments) => segments.some((segment) => segment === "" || segment === "."),
  },
  {
    problem: `has a path segment over ${longestSegmentBytes} bytes`,
    remedy: "Shorten it and make the zip again.",
    breaks: (_path, segments) => segments.some((segment) => Buffer.byteLength(segment) > longestSegmentBytes),
  },
  {
    problem: `has a path over ${longestPathBytes} bytes`,
    remedy: "Shorten it and make the zip again.",
    breaks: (path) => Buffer.byteLength(path) > longestPathBytes,
  },
  {
    problem: `is more than ${deepestPath} folders deep`,
    remedy: "Flatten the folders and make the zip again.",
    breaks: (_path, segments) => segments.length > deepestPath,
  },
];

/** The first rule that `path` breaks, or undefined when it is a safe relative path. Without a folder's trailing slash. */
export function findNameProblem(path: string): Refusal | undefined {
  const segments = path.split("/");
  return rules.find((rule) => rule.breaks(path, segments));
}

/** Files that macOS adds behind its users' backs, which are no part of what was zipped. */
export function isSystemLitter(path: string): boolean {
  return path.split("/")[0] === "__MACOSX" || path === ".DS_Store" || path.endsWith("/.DS_Store");
}

/** Equal for names that a case-insensitive or normalising file system takes for one. */
export function foldName(segment: string): string {
  // up and down again, so that ß and SS, ſ and s meet as in full case folding
  return segment.normalize("NFC").toUpperCase().toLowerCase().normalize("NFC");
}
