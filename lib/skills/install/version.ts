const dottedNumber = /^\d+(\.\d+)*$/;
const longestVersion = 64;

/** Whether a version can be compared: whole numbers with dots between them, at most 64 characters. */
export function isDottedNumber(version: string): boolean {
  return version.length <= longestVersion && dottedNumber.test(version);
}

/**
 * Compares two dotted numbers part by part, as numbers; a part that is missing counts as 0 (1.10 > 1.9, 1.0 = 1.0.0).
 * @returns below 0, 0 or above 0, as for Array.sort
 */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [partsOf(a), partsOf(b)];
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const [mine, theirs] = [left[at] ?? 0n, right[at] ?? 0n];
    if (mine !== theirs) return mine < theirs ? -1 : 1;
  }
  return 0;
}

// BigInt: a date with a time, as some use for a version, does not fit a double.
function partsOf(version: string): bigint[] {
  return version.split(".").map((part) => BigInt(part));
}
