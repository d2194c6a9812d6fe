/** A line of waiting entries: first come first served, and anybody may leave. */
export interface Fifo<T> {
  readonly size: number;
  first(): T | undefined;
  join(entry: T): void;
  leave(entry: T): void;
}

/** Every step takes the same time however long the line is; each entry is in it once at most. */
export function createFifo<T>(): Fifo<T> {
  const waiting = new Set<T>();
  let walk = waiting.values();
  let head: T | undefined;
  return {
    get size() {
      return waiting.size;
    },
    first() {
      if (head !== undefined && waiting.has(head)) return head;
      // The iterator sees entries added later, and does not walk over the deleted ones again as a fresh one would.
      let next = walk.next();
      if (next.done) {
        walk = waiting.values();
        next = walk.next();
      }
      head = next.value;
      return head;
    },
    join: (entry) => void waiting.add(entry),
    leave: (entry) => void waiting.delete(entry),
  };
}
