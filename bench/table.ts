/** One measurement. Without a target it is for information. */
export interface Row {
  what: string;
  ours: string;
  /** What it is held against, measured in the same run. */
  against: string;
  result: string;
  target: { text: string; met: boolean } | null;
}

/** A row whose result must not be above (`most`) or below (`least`) a bound. */
export function bounded(
  row: Omit<Row, "target" | "result">,
  value: number,
  bound: { most: number } | { least: number },
  show: (value: number) => string,
): Row {
  const target =
    "most" in bound
      ? { text: `<= ${show(bound.most)}`, met: value <= bound.most }
      : { text: `>= ${show(bound.least)}`, met: value >= bound.least };
  return { ...row, result: show(value), target };
}

const header = ["measurement", "this server", "held against", "result", "target", ""];

const cellsOf = ({ what, ours, against, result, target }: Row) => [
  what,
  ours,
  against,
  result,
  target?.text ?? "",
  target === null ? "info" : target.met ? "pass" : "FAIL",
];

/** The table, aligned with spaces or as Markdown. */
export function formatTable(rows: readonly Row[], markdown: boolean): string {
  const lines = [header, ...rows.map(cellsOf)];
  const widths = header.map((_, column) => Math.max(3, ...lines.map((cells) => cells[column]?.length ?? 0)));
  if (markdown)
    lines.splice(
      1,
      0,
      widths.map((width) => "-".repeat(width)),
    );
  return lines
    .map((cells) => {
      const padded = cells.map((cell, column) => cell.padEnd(widths[column] ?? 0));
      return markdown ? `| ${padded.join(" | ")} |` : padded.join("  ").trimEnd();
    })
    .join("\n");
}
