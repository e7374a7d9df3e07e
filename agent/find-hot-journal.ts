import { isHotJournal, JOURNAL_HEAD_BYTES } from "@guestscan/formats/rpm/sqlite-journal";
import type { HostFiles } from "./host-files.ts";
import type { ScanReason } from "./scan-status.ts";

/** In bytes; only its head is read. */
const MAX_JOURNAL_BYTES = 2 ** 40;

/** Why a SQLite database cannot be trusted whole while its rollback journal is hot; undefined where it is not. Throws HostFileError. */
export function findHotJournal(files: HostFiles, path: string): ScanReason | undefined {
  const journal = files.open(`${path}-journal`, MAX_JOURNAL_BYTES);
  if (journal === undefined) return undefined;
  try {
    if (!isHotJournal(journal.source.read(0, JOURNAL_HEAD_BYTES))) return undefined;
    const detail = "a transaction is under way or its writer died: the database may hold parts of before and of after it";
    return { code: "unfinished_transaction", detail, path: `${path}-journal` };
  } finally {
    journal.close();
  }
}
