import { byPrompt } from "../../tests/model-server/server.ts";

/** The file the demo uploads. */
export const source = {
  name: "tides.md",
  text: "# Tides at the pier\n\nHigh water came at 06:12 with 3.4 m and at 18:40 with 3.1 m.\nLow water came at 12:25 with 0.6 m.\nThe gauge was off from 09:00 to 09:20.\n",
};

const report = `# Tides at the pier

## Summary
Two high waters and one low water were measured; the gauge missed twenty minutes in the morning.

## Key points
- High water: 06:12 (3.4 m) and 18:40 (3.1 m).
- Low water: 12:25 (0.6 m).
- The gauge was off from 09:00 to 09:20.
`;

const answer = {
  title: "Tides at the pier",
  key_points: [
    "High water came at 06:12 with 3.4 m and at 18:40 with 3.1 m.",
    "Low water came at 12:25 with 0.6 m.",
    "The gauge was off from 09:00 to 09:20.",
  ],
  report: "artifacts/report.md",
};

/** Where the second job travels to. */
export const destination = "Norderney";

const question = {
  __SKILL_DONE__: false,
  message: "In which season do you travel?",
  ui_hints: { kind: "choose_one", options: ["spring", "summer", "autumn", "winter"] },
};

const packingList = {
  __SKILL_DONE__: true,
  season: "winter",
  items: [
    { name: "hat that covers the ears", count: 1 },
    { name: "windproof jacket", count: 1 },
    { name: "pair of gloves", count: 2 },
    { name: "pair of thick socks", count: 4 },
    { name: "ferry ticket", count: 1 },
  ],
  assumptions: ["The trip takes three days."],
};

/** What the model says: read the file, write the report, answer. codex really runs the commands. */
export const script = byPrompt([
  // The reply, in the session that asked.
  { match: "winter", steps: [{ kind: "text", text: JSON.stringify(packingList) }] },
  { match: "$packing-list", steps: [{ kind: "text", text: JSON.stringify(question) }] },
  {
    match: "$report-from-file",
    steps: [
      { kind: "tool", command: `cat uploads/${source.name}`, text: "I will read the file first." },
      { kind: "tool", command: `mkdir -p artifacts && cat > artifacts/report.md <<'EOF'\n${report}EOF` },
      { kind: "text", text: JSON.stringify(answer) },
    ],
  },
]);
