/** What an archive may cost at most. All of it counts what is really there, not what the archive says of itself. */
export interface ExtractLimits {
  /** Entries in the archive's directory, folders and ignored files too. */
  maxEntries: number;
  /** Inflated bytes of one file. */
  maxEntryBytes: number;
  /** Inflated bytes of all files. */
  maxTotalBytes: number;
  /** Inflated bytes per packed byte, for each file and for the whole; what inflates to under 1 MiB is exempt. */
  maxRatio: number;
}
