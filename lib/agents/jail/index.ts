export type { JailedRun } from "./host.ts";
export {
  createJail,
  type Enclosed,
  type Jail,
  type JailSetting,
  type JailState,
  requiredWords,
  sandboxRequired,
} from "./jail.ts";
export { ownCopyPaths } from "./own-copies.ts";
