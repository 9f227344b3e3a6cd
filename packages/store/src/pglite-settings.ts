/**
 * Settings of the embedded server, as start parameters.
 * - The write-ahead log keeps at most 64 MB of finished segments instead of 1 GB: disk beside a small database, or memory,
 *   without a folder.
 * - The cache of pages is 32 MB instead of 128: 110 MB less memory. Pages that fall out of it stay in the cache of the
 *   operating system: inserting 500,000 tasks with random ids stayed at 50 to 100 µs each to the end.
 */
export const pgliteSettings: readonly string[] = [
  ...["-c", "max_wal_size=64MB"],
  ...["-c", "min_wal_size=32MB"],
  ...["-c", "shared_buffers=32MB"],
];
