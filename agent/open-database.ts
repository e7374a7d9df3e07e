import type { DatabaseFiles } from "@guestscan/formats/rpm/database";
import type { HostFile, HostFiles } from "./host-files.ts";

/** A database as it lies on disk: its main file and those that SQLite keeps beside it. */
export interface OpenDatabase {
  readonly files: DatabaseFiles;
  /** Differs once any of the files has been written to. */
  state(): string;
  close(): void;
}

/** undefined where there is no main file. `isSqlite`: with its write-ahead log and its rollback journal, where they are there. Throws HostFileError. */
export function openDatabase(host: HostFiles, path: string, isSqlite: boolean, maxBytes: number): OpenDatabase | undefined {
  const opened: HostFile[] = [];
  const close = (): void => opened.splice(0).forEach((file) => file.close());
  const open = (name: string): Pick<HostFile, "source"> | undefined => {
    const file = host.open(name, maxBytes);
    if (file !== undefined) opened.push(file);
    return file;
  };
  try {
    const main = open(path);
    if (main === undefined) return undefined;
    const [wal, journal] = isSqlite ? [open(`${path}-wal`), open(`${path}-journal`)] : [];
    return {
      files: {
        main: main.source,
        ...(wal === undefined || wal.source.size === 0 ? {} : { wal: wal.source }),
        ...(journal === undefined ? {} : { journal: journal.source }),
      },
      state: () => opened.map((file) => file.state()).join(", "),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}
