// Runs a program and sends each line it prints to all who are connected, as a server-sent event: node:http with nothing
// around it, nothing stored, nobody waited for.
import { spawn } from "node:child_process";
import { createServer, type ServerResponse } from "node:http";

const child = spawn(process.argv[2] ?? "", [], { stdio: ["ignore", "pipe", "inherit"] });
const listeners = new Set<ServerResponse>();
let seq = 0;
let rest = "";
child.stdout.setEncoding("utf8").on("data", (piece: string) => {
  const lines = (rest + piece).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) {
    seq += 1;
    const frame = Buffer.from(`id: ${seq}\nevent: chat_event\ndata: ${line}\n\n`);
    for (const listener of listeners) listener.write(frame);
  }
});
child.once("close", () => {
  for (const listener of listeners) listener.end();
});
const server = createServer((_, response) => {
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.write("event: snapshot\ndata: {}\n\n");
  listeners.add(response);
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  console.log(typeof address === "object" ? address?.port : null);
});
