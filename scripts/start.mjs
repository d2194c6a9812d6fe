// npm start: installs and builds what is missing, then becomes the server.
import { ensureBuild } from "./ensure.mjs";

await ensureBuild();
await import("../dist/runtime/main.js");
