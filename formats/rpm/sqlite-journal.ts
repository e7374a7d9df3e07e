/** Bytes from the start of a journal that tell whether it is hot. */
export const JOURNAL_HEAD_BYTES = 8;
const MAGIC = "d9d505f920a163d7"; // https://www.sqlite.org/fileformat2.html#the_rollback_journal

/**
 * Whether a file NAME-journal beside a SQLite database is hot, by its first bytes: a transaction is under way, or its writer died. The main file may then
 * hold pages of before and after it. A transaction that ended leaves no journal, an empty one, or one whose head is wiped.
 */
export function isHotJournal(start: Uint8Array): boolean {
  return Buffer.from(start.buffer, start.byteOffset, Math.min(start.length, JOURNAL_HEAD_BYTES)).toString("hex") === MAGIC;
}
