// A server's skill installs in a process of its own, to be killed: child.js <folder> [zip]
import "./mortal-fs.ts";
import { openInstalls, settled } from "./installs.ts";

const [folder = "", zip] = process.argv.slice(2);
const { installs } = openInstalls(folder);
await installs.recover();
if (zip !== undefined) {
  const { request_id: id } = await installs.install(zip);
  process.stdout.write(id);
  await settled(installs, id);
}
await installs.stop();
