export { type BootstrapStep, bootstrapConfig } from "./bootstrap.ts";
export { installAgent } from "./install.ts";
export { createEngineManager, type EngineManager, type InstallOutcome } from "./manager.ts";
export { createCleaner } from "./output.ts";
export { openStatusFile } from "./status-file.ts";
export { createUpgrades, type Upgrades, upgradeRecord } from "./upgrades.ts";
export { parseEngineSelection, parseVersionOverrides } from "./versions.ts";
