export { createJail, type Jail, type JailSetting, type JailState } from "./jail.ts";
export type { JailedRun } from "./layout.ts";
