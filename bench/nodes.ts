import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Cluster, inTurn, sleepMs, slots, startCluster } from "./cluster.ts";
import { median, medianRatio, milliseconds, perSecond, quantile } from "./numbers.ts";
import { startRedis } from "./redis.ts";
import { cpuTime } from "./server-process.ts";
import { bounded, type Row } from "./table.ts";

const mostNodes = 3;
/** What the queue adds to a job's way with one node: not above so many times what bare BullMQ needs, and so many ms. */
const mostTimes = 3;
const mostMs = 10;
/** Runs per second of one node, against one server without a queue. */
const leastRatio = 0.7;
const warmUps = 3;
const settleMs = 500;
const idleMs = 3_000;

export interface NodesPlan {
  /** Jobs sent one at a time, for each number of nodes. */
  dispatches: number;
  rounds: number;
  /** How often each slot is filled in a round. */
  waves: number;
}

/** What sharing work through a queue costs: a job's way to its agent, and runs per second, by number of servers. */
export async function measureNodes(folder: string, plan: NodesPlan): Promise<Row[]> {
  const redis = await startRedis(join(folder, "redis"));
  if (redis === null) {
    const what = "nodes: not measured, redis-server is missing (apt-get install redis-server)";
    return [{ what, ours: "", against: "", result: "", target: null }];
  }
  const cluster = await startCluster(folder, redis);
  try {
    const rows: Row[] = [];
    for (let count = 1; count <= mostNodes; count++) {
      await cluster.grow();
      await warmUp(cluster);
      rows.push(...(await measureDispatch(cluster, plan.dispatches)), ...(await measureRate(cluster, plan)));
    }
    return [...rows, ...(await measureIdle(cluster, redis.pid))];
  } finally {
    await cluster.stop();
    await redis.stop();
  }
}

async function warmUp(cluster: Cluster): Promise<void> {
  await cluster.carryOut([cluster.alone], warmUps * slots);
  await cluster.carryOut(cluster.nodes, warmUps * slots * cluster.nodes.length);
  for (let n = 0; n < warmUps; n++) await cluster.dispatchBare();
}

async function measureDispatch(cluster: Cluster, jobs: number): Promise<Row[]> {
  const { alone, nodes } = cluster;
  const ours: number[] = [];
  const single: number[] = [];
  const bare: number[] = [];
  for (let n = 0; n < jobs; n++) {
    bare.push(await cluster.dispatchBare());
    single.push(await cluster.dispatch(alone));
    ours.push(await cluster.dispatch(inTurn(nodes, n)));
  }
  const added = ours.map((value, n) => value - (single[n] ?? Number.NaN));
  const adds = {
    what: "  what the queue adds, median",
    ours: milliseconds(median(added)),
    against: `${milliseconds(median(bare))} bare BullMQ`,
  };
  const shares = [
    { share: 0.5, name: "median" },
    { share: 0.9, name: "90th percentile" },
  ];
  return [
    ...shares.map(({ share, name }) => ({
      what: `answer to agent begun, ${inWords(nodes.length)}, ${name}`,
      ours: milliseconds(quantile(ours, share)),
      against: `${milliseconds(quantile(single, share))} without a queue`,
      result: show(quantile(ours, share) / quantile(single, share)),
      target: null,
    })),
    nodes.length === 1
      ? bounded(adds, median(added), { most: mostTimes * median(bare) + mostMs }, milliseconds)
      : { ...adds, result: milliseconds(median(added)), target: null },
  ];
}

async function measureRate(cluster: Cluster, { rounds, waves }: NodesPlan): Promise<Row[]> {
  const { alone, nodes } = cluster;
  const ofNodes: number[] = [];
  const ofOne: number[] = [];
  for (let round = 0; round < rounds; round++) {
    ofOne.push((waves * slots) / (await cluster.carryOut([alone], waves * slots)));
    const runs = waves * slots * nodes.length;
    ofNodes.push(runs / (await cluster.carryOut(nodes, runs)));
  }
  const ratio = medianRatio(ofNodes, ofOne);
  const single = {
    what: "  against one server without a queue",
    ours: perSecond(median(ofNodes)),
    against: perSecond(median(ofOne)),
  };
  const ideal = (nodes.length * slots) / (sleepMs / 1000);
  return [
    {
      what: `runs of ${sleepMs} ms, ${slots} slots each, ${inWords(nodes.length)}`,
      ours: perSecond(median(ofNodes)),
      against: `${perSecond(ideal)} ideal`,
      result: show(median(ofNodes) / ideal),
      target: null,
    },
    nodes.length === 1
      ? bounded(single, ratio, { least: leastRatio }, show)
      : { ...single, result: show(ratio), target: null },
  ];
}

/** Linux counts processor time in hundredths of a second: of all nodes together, over some seconds, that is enough. */
async function measureIdle({ alone, nodes }: Cluster, redisPid: number): Promise<Row[]> {
  const parts = [nodes.map(({ pid }) => pid), [alone.pid], [redisPid]];
  const used = () => parts.map((pids) => pids.reduce((sum, pid) => sum + cpuTime(pid), 0) / pids.length);
  await sleep(settleMs);
  const before = used();
  await sleep(idleMs);
  const [ofNode, ofAlone, ofRedis] = used().map(
    (value, n) => `${((value - (before[n] ?? Number.NaN)) / (idleMs / 1000)).toFixed(1)} ms/s`,
  );
  return [
    {
      what: `idle: processor time of a node, ${nodes.length} nodes`,
      ours: ofNode ?? "",
      against: `${ofAlone} without a queue`,
      result: `Redis ${ofRedis}`,
      target: null,
    },
  ];
}

const inWords = (count: number) => (count === 1 ? "1 node" : `${count} nodes`);
const show = (value: number) => `x ${value.toFixed(2)}`;
