/** Small JSON records by key, as the server's storage keeps them. Keys are segments joined with ":". */
export interface Records {
  read(key: string): Promise<unknown>;
  /** Whole or not at all; durable when it resolves. */
  write(key: string, value: object): Promise<void>;
  remove(key: string): Promise<void>;
  /** Names one level below `prefix`, ascending. */
  children(prefix: string): Promise<string[]>;
}
