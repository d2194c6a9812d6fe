/** A Markdown table whose columns line up. */
export function markdownTable(header: string[], rows: string[][]): string {
  const widths = header.map((cell, at) => Math.max(cell.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const line = (cells: string[], fill: string) =>
    `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0, fill)).join(" | ")} |`;
  const rule = line(
    header.map(() => ""),
    "-",
  );
  return [line(header, " "), rule, ...rows.map((row) => line(row, " "))].join("\n");
}

/** The page with what stands between two marks replaced. @throws Error when the page does not hold them in order */
export function withPart(page: string, [opening, closing]: readonly [string, string], part: string): string {
  const start = page.indexOf(opening);
  const end = page.indexOf(closing);
  if (start < 0 || end < start) throw new Error(`the page must hold "${opening}" and then "${closing}"`);
  return `${page.slice(0, start + opening.length)}\n\n${part}\n\n${page.slice(end)}`;
}
