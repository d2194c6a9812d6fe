/** The entries of a setting that lists several, with commas or white space between them. */
export function entriesOf(text: string): string[] {
  return text.split(/[\s,]+/).filter((entry) => entry !== "");
}
