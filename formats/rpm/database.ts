import type { ByteSource } from "../bytes.ts";

export type RpmDatabaseKind = "bdb" | "ndb" | "sqlite";

/** One header of the database, in the order in which its reader meets them (SQLite: hnum; BDB: bucket, then page chain; NDB: slot). */
export interface HeaderBlob {
  /** rpm's number of the package in this database (hnum). */
  readonly instance: number;
  /**
   * The header as rpm stores it there: index count, data length, index, data; without the lead and the signature. Valid until the next header is asked
   * for: a database of 300 MB would otherwise leave as much garbage.
   */
  readonly bytes: Uint8Array;
}

/** Something that could not be read; the rest was. */
export interface Damage {
  /** A closed set of words, named by the reader: "bad_page", "bad_overflow_chain", "bad_header", "bad_slot", … */
  readonly code: string;
  /** What, where (page or offset) and with which values, for a person. */
  readonly detail: string;
}

/** The files of one database: its main file and, where there are any, SQLite's write-ahead log and rollback journal. */
export interface DatabaseFiles {
  readonly main: ByteSource;
  readonly wal?: ByteSource;
  readonly journal?: ByteSource;
}

/** Reads on over damage: what it could not read goes to `onDamage`, once per place. Throws FormatError only where nothing at all can be read. */
export type ReadHeaders = (files: DatabaseFiles, onDamage: (damage: Damage) => void) => Iterable<HeaderBlob>;
