import type { Logger } from "pino";
import { type Cid, parseCid } from "./cid.ts";
import { RelayError } from "./relay-error.ts";
import type { SpoolFiles } from "./spool-files.ts";
import { decodeSpoolRecord, encodeSpoolRecord, type SpoolEntry, type SpooledReport } from "./spool-record.ts";

/** The newest report of each virtual machine that Central does not have yet, on disk: a file per CID. */
export interface Spool {
  /**
   * Resolves when the report is on the disk: true if it is new there, false if one of the same digest was there already.
   * Throws RelayError: "superseded" (a newer one of the same boot is here), "spool_full", "spool_failed" (the disk).
   */
  put(report: SpooledReport): Promise<boolean>;
  entry(cid: Cid): SpoolEntry | undefined;
  entries(): Iterable<SpoolEntry>;
  /** Undefined when there is none, or its file was found damaged and set aside. */
  read(cid: Cid): Promise<SpooledReport | undefined>;
  /** Does nothing when the CID's report is another by now. */
  remove(cid: Cid, digest: string): Promise<void>;
  /** Of all reports. */
  readonly bytes: number;
}

export interface SpoolOptions {
  readonly files: SpoolFiles;
  readonly maxBytes: number;
  readonly log: Logger;
}

/** Takes over what an earlier process left; files that are not whole are set aside as NAME.broken. */
export async function openSpool({ files, maxBytes, log }: SpoolOptions): Promise<Spool> {
  const entries = new Map<Cid, SpoolEntry>();
  const queues = new Map<Cid, Promise<void>>();
  let bytes = 0;

  function setEntry(cid: Cid, entry: SpoolEntry | undefined): void {
    bytes += (entry?.size ?? 0) - (entries.get(cid)?.size ?? 0);
    if (entry === undefined) entries.delete(cid);
    else entries.set(cid, entry);
  }

  async function setAside(name: string, error: unknown): Promise<void> {
    log.error({ file: name, err: error }, "spool file set aside");
    await files.rename(name, `${name}.broken`);
  }

  /** The operations on one CID's file come one after the other; an error is its caller's alone. */
  function inTurn<T>(cid: Cid, operation: () => Promise<T>): Promise<T> {
    const result = (queues.get(cid) ?? Promise.resolve()).then(operation);
    const settled = result.then(
      () => {},
      () => {},
    );
    queues.set(cid, settled);
    void settled.then(() => {
      if (queues.get(cid) === settled) queues.delete(cid);
    });
    return result;
  }

  async function write(report: SpooledReport): Promise<boolean> {
    const { report: _, ...entry } = report;
    const held = entries.get(entry.cid);
    if (held?.digest === entry.digest) return false;
    if (held !== undefined && isOlder(entry, held)) {
      throw new RelayError("superseded", `report ${entry.sequence} of this boot came after report ${held.sequence}`);
    }
    const growth = entry.size - (held?.size ?? 0);
    if (bytes + growth > maxBytes) {
      throw new RelayError("spool_full", `the spool holds ${bytes} bytes of ${maxBytes} that Central has not taken yet`);
    }
    bytes += growth; // before the write, so that writes at the same time share the bound
    try {
      await files.writeDurably(fileName(entry.cid), encodeSpoolRecord(report));
    } catch (cause) {
      // Which of the two the disk has is not known: none is promised, and the one that is there is sent.
      bytes -= growth;
      throw new RelayError("spool_failed", "the report could not be written to the spool", { cause });
    }
    entries.set(entry.cid, entry);
    return true;
  }

  async function readRecord(cid: Cid): Promise<SpooledReport | undefined> {
    if (!entries.has(cid)) return undefined;
    const name = fileName(cid);
    try {
      const record = decodeSpoolRecord(await files.read(name));
      const { report: _, ...entry } = record;
      setEntry(cid, entry); // after a failed write the file may be the newer one
      return record;
    } catch (error) {
      setEntry(cid, undefined);
      await setAside(name, error);
      return undefined;
    }
  }

  for (const name of await files.list()) {
    const cid = name.endsWith(SUFFIX) ? parseCid(name.slice(0, -SUFFIX.length)) : null;
    if (cid === null) continue;
    try {
      const { report: _, ...entry } = decodeSpoolRecord(await files.read(name));
      if (entry.cid !== cid) throw new RelayError("spool_damaged", `it holds the report of CID ${entry.cid}`);
      setEntry(cid, entry);
    } catch (error) {
      await setAside(name, error);
    }
  }

  return {
    put: (report) => inTurn(report.cid, () => write(report)),
    entry: (cid) => entries.get(cid),
    entries: () => entries.values(),
    read: (cid) => inTurn(cid, () => readRecord(cid)),
    remove: (cid, digest) =>
      inTurn(cid, async () => {
        if (entries.get(cid)?.digest !== digest) return;
        setEntry(cid, undefined);
        await files.remove(fileName(cid));
      }),
    get bytes() {
      return bytes;
    },
  };
}

const SUFFIX = ".report";

function fileName(cid: Cid): string {
  return `${cid}${SUFFIX}`;
}

/** Only reports of one boot have an order; of another boot, and without an envelope, the last to come is the newest. */
function isOlder(entry: SpoolEntry, held: SpoolEntry): boolean {
  return entry.bootId !== "" && entry.bootId === held.bootId && entry.sequence < held.sequence;
}
