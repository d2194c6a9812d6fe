// Follows one stream of events over many connections, and says how late a talker's lines came. It does as little as it
// can for each byte (raw sockets, one buffer for all), as it shares the machine with what it measures.
import { connect } from "node:net";
import { quantile } from "./numbers.ts";
import { saidAt } from "./stand-in.ts";
import type { Heard, SubscriberOrder } from "./subscriber-process.ts";

/** So many connections are made at a time: a server's queue of new ones is short. */
const connectingAtOnce = 50;

const { host, port, path, count, reads }: SubscriberOrder = JSON.parse(process.argv[2] ?? "");
const request = `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
const buffer = Buffer.allocUnsafe(256 * 1024);
const latenciesMs: number[] = [];
const closed: Promise<number>[] = [];

function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}

/** Takes each frame that is whole now, and gives the text behind the last one. */
function eachFrame(text: string, take: (frame: string) => void): string {
  let from = 0;
  for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n", from)) {
    take(text.slice(from, end));
    from = end + 2;
  }
  return from === 0 ? text : text.slice(from);
}

/** Resolves when the stream has begun; `closed` then has the number of the last event it brought. */
function subscribe(): Promise<void> {
  return new Promise((resolve, reject) => {
    let rest = "";
    let seq = 0;
    let begun = false;
    const begin = () => {
      begun = true;
      resolve();
    };
    const take = (now: number) => (frame: string) => {
      const at = frame.indexOf("id: ");
      if (at < 0) return frame.includes("event: snapshot") && begin();
      const next = Number(frame.slice(at + 4, frame.indexOf("\n", at)));
      if (next !== seq + 1) throw new Error(`event ${next} came after event ${seq}`);
      seq = next;
      const said = frame.indexOf(saidAt, at);
      if (said >= 0) latenciesMs.push(now - Number.parseFloat(frame.slice(said + saidAt.length)));
    };
    const socket = connect({
      host,
      port,
      onread: {
        buffer,
        callback(bytes) {
          rest = eachFrame(rest + buffer.toString("latin1", 0, bytes), take(monotonicMs()));
          return reads || !begun;
        },
      },
    });
    socket.once("error", reject);
    closed.push(new Promise((done) => socket.once("close", () => done(seq))));
    socket.write(request);
  });
}

for (let made = 0; made < count; made += connectingAtOnce) {
  await Promise.all(Array.from({ length: Math.min(connectingAtOnce, count - made) }, subscribe));
}
console.log("ready");
// Connections that nobody reads from do not keep a process alive.
if (!reads) setInterval(() => undefined, 60_000);
const lastOnes = await Promise.all(closed);
const heard: Heard = {
  lines: latenciesMs.length,
  fewestEvents: Math.min(...lastOnes),
  mostEvents: Math.max(...lastOnes),
  medianMs: quantile(latenciesMs, 0.5),
  p99Ms: quantile(latenciesMs, 0.99),
  mostMs: quantile(latenciesMs, 1),
};
console.log(JSON.stringify(heard));
