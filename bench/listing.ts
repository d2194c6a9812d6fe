import type { Row } from "./table.ts";
export async function measureListing(_f: string, _o: { rounds: number }): Promise<Row[]> { return []; }
