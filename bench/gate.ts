import type { Row } from "./table.ts";
export async function measureGate(_f: string, _o: { runs: number; rounds: number }): Promise<Row[]> { return []; }
