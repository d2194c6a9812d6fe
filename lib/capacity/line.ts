import { createFifo, type Fifo } from "./fifo.ts";

/** What a line goes by. */
export interface Ranked {
  /** The least number is served first. */
  priority: number;
  /** What it counts as where there are caps, always in the same order. */
  labels: readonly string[];
}

/**
 * A line of waiting entries: by priority, then first come first served. Whoever is over a cap is passed by and keeps his
 * place; anybody may leave.
 */
export interface Line<T> {
  readonly size: number;
  /** The first that no cap holds back. */
  first(): T | undefined;
  join(entry: T): void;
  leave(entry: T): void;
}

interface Waiting<T> {
  entry: T;
  /** Grows from one to the next, over all groups. */
  arrived: number;
  group: Group<T>;
  row: Fifo<Waiting<T>>;
}

/** Entries with the same labels: a cap holds back all of them or none, so that one look is enough. */
interface Group<T> {
  labels: readonly string[];
  /** By priority; none of them empty. */
  rows: Map<number, Fifo<Waiting<T>>>;
  head: Waiting<T> | undefined;
}

/**
 * To find the first takes as long as there are different sets of labels in line, to join or leave as long as there are
 * priorities, however many entries wait.
 * @param allow whether one more with these labels may be served now
 */
export function createLine<T extends Ranked>(allow: (labels: readonly string[]) => boolean): Line<T> {
  const groups = new Map<string, Group<T>>();
  const places = new Map<T, Waiting<T>>();
  let arrivals = 0;

  return {
    get size() {
      return places.size;
    },
    first() {
      let best: Waiting<T> | undefined;
      for (const { head, labels } of groups.values()) {
        if (head !== undefined && (best === undefined || isBefore(head, best)) && allow(labels)) best = head;
      }
      return best?.entry;
    },
    join(entry) {
      const { labels, priority } = entry;
      const group = found<string, Group<T>>(groups, JSON.stringify(labels), () => ({
        labels,
        rows: new Map(),
        head: undefined,
      }));
      const row = found(group.rows, priority, () => createFifo<Waiting<T>>());
      const waiting = { entry, arrived: arrivals++, group, row };
      places.set(entry, waiting);
      row.join(waiting);
      if (group.head === undefined || isBefore(waiting, group.head)) group.head = waiting;
    },
    leave(entry) {
      const waiting = places.get(entry);
      if (waiting === undefined) return;
      const { group, row } = waiting;
      places.delete(entry);
      row.leave(waiting);
      if (row.size === 0) group.rows.delete(entry.priority);
      if (group.head === waiting) group.head = headOf(group);
      if (group.rows.size === 0) groups.delete(JSON.stringify(group.labels));
    },
  };
}

function headOf<T extends Ranked>({ rows }: Group<T>): Waiting<T> | undefined {
  return rows.get(Math.min(...rows.keys()))?.first();
}

function isBefore<T extends Ranked>(one: Waiting<T>, other: Waiting<T>): boolean {
  const apart = one.entry.priority - other.entry.priority;
  return apart === 0 ? one.arrived < other.arrived : apart < 0;
}

function found<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
