/**
 * Settings of the embedded server, as start parameters. The write-ahead log keeps at most 64 MB of finished segments instead
 * of 1 GB: disk beside a small database (or memory, without a folder).
 */
export const pgliteSettings: readonly string[] = ["-c", "max_wal_size=64MB", "-c", "min_wal_size=32MB"];
