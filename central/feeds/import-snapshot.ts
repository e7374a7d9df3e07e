import { createHash } from "node:crypto";
import { FormatError } from "@guestscan/formats/format-error";
import type { Advisory } from "@guestscan/formats/vex/advisory";
import { type DocumentFolder, readDocuments } from "@guestscan/formats/vex/document-files";
import { parseVexDocument } from "@guestscan/formats/vex/parse-document";
import type { Logger } from "pino";
import { CentralError } from "../central-error.ts";
import type { Database, Queryable } from "../store/database.ts";
import { packAdvisory } from "../store/pack-advisory.ts";
import {
  type AdvisoryRow,
  deleteAdvisoriesExcept,
  type FeedVersion,
  insertFeedVersion,
  listContentDigests,
  notifyDataChanged,
  readFeedVersion,
  upsertAdvisories,
} from "../store/vulnerability-data.ts";

export interface SnapshotSource extends DocumentFolder {
  /** A digest of every file: an equal one needs no second import. */
  readonly fingerprint: string;
  /** The newest date that the data speaks of, where the snapshot says so. */
  readonly dataDate: Date | null;
  /** A person's words; "" where the snapshot has none. */
  readonly description: string;
}

export interface ImportResult {
  readonly documents: number;
  readonly changed: number;
  readonly removed: number;
  readonly quarantined: FeedVersion["quarantined"];
}

const BATCH = 200;
const PROGRESS_EVERY = 2000;
const MAX_QUARANTINED_NAMES = 100;
const IMPORT_LOCK = 0x67_73_69; // "gsi": one import at a time

/**
 * Replaces the vulnerability data by a snapshot, in one transaction: all of it or nothing. A document that cannot be read is left out by name, and what an earlier
 * snapshot had of it stays only if it is in this one; documents whose content is known are not parsed again. Null where the snapshot is the one that is stored.
 * Throws CentralError "bad_vulnerability_data" for an archive that cannot be read to its end, and for a snapshot without a single document.
 */
export async function importSnapshot(db: Database, source: SnapshotSource, now: Date, log: Logger): Promise<ImportResult | null> {
  return db.transaction(async (tx) => {
    await tx.query("set local statement_timeout = 0");
    await tx.query("select pg_advisory_xact_lock($1)", [IMPORT_LOCK]);
    if ((await readFeedVersion(tx))?.fingerprint === source.fingerprint) {
      log.info({ description: source.description }, "the vulnerability data is the one that is stored");
      return null;
    }
    const taken = await takeDocuments(tx, source, log);
    if (taken.kept.size === 0) throw new CentralError("bad_vulnerability_data", "the vulnerability data has no document that can be read");
    const removed = await deleteAdvisoriesExcept(tx, [...taken.kept.values()]);
    const version: FeedVersion = {
      importedAt: now,
      dataDate: source.dataDate ?? taken.newest,
      description: source.description,
      documentCount: taken.kept.size,
      statementCount: [...taken.kept.values()].reduce((sum, { statementCount }) => sum + statementCount, 0),
      quarantined: taken.quarantined.slice(0, MAX_QUARANTINED_NAMES),
      fingerprint: source.fingerprint,
    };
    await insertFeedVersion(tx, version);
    await notifyDataChanged(tx);
    const result = { documents: taken.kept.size, changed: taken.changed, removed, quarantined: taken.quarantined };
    log.info(
      { ...result, quarantined: taken.quarantined.length, statements: version.statementCount, skipped: Object.fromEntries(taken.skipped) },
      "imported vulnerability data",
    );
    return result;
  });
}

type Kept = Pick<AdvisoryRow, "feed" | "cve" | "statementCount">;

interface Taken {
  /** By feed and CVE. */
  readonly kept: Map<string, Kept>;
  readonly quarantined: { readonly name: string; readonly error: string }[];
  /** Product entries that say nothing of rpm packages, by why. */
  readonly skipped: Map<string, number>;
  changed: number;
  newest: Date | null;
}

async function takeDocuments(tx: Queryable, source: SnapshotSource, log: Logger): Promise<Taken> {
  const known = await listContentDigests(tx);
  const taken: Taken = { kept: new Map(), quarantined: [], skipped: new Map(), changed: 0, newest: null };
  let batch = new Map<string, AdvisoryRow>();
  let read = 0;
  const keep = ({ feed, cve, statementCount }: Kept): string => {
    const key = `${feed}/${cve}`;
    if (taken.kept.has(key)) log.warn({ feed, cve }, "a vulnerability has two documents: the last one counts");
    taken.kept.set(key, { feed, cve, statementCount });
    return key;
  };
  const flush = async (): Promise<void> => {
    if (batch.size > 0) await upsertAdvisories(tx, [...batch.values()]);
    batch = new Map();
  };
  for await (const file of documentsOf(source)) {
    if (++read % PROGRESS_EVERY === 0) log.info({ documents: read, changed: taken.changed }, "importing vulnerability data");
    const document = parseOrExplain(file, known);
    if (document.kind === "known") keep(document.kept);
    else if (document.kind === "quarantined") {
      taken.quarantined.push({ name: file.name, error: document.error });
      log.warn({ document: file.name, error: document.error }, "a document is left out");
    } else {
      const row = { ...document.row, document: await packAdvisory(document.advisory) };
      batch.set(keep(row), row);
      taken.changed++;
      for (const [reason, count] of document.skipped) taken.skipped.set(reason, (taken.skipped.get(reason) ?? 0) + count);
      taken.newest = later(taken.newest, document.advisory.lastModified);
      if (batch.size === BATCH) await flush();
    }
  }
  await flush();
  return taken;
}

async function* documentsOf(source: SnapshotSource): ReturnType<typeof readDocuments> {
  try {
    yield* readDocuments(source);
  } catch (error) {
    if (error instanceof FormatError) throw new CentralError("bad_vulnerability_data", error.message, { cause: error });
    throw error;
  }
}

type Document =
  | { readonly kind: "known"; readonly kept: Kept }
  | { readonly kind: "quarantined"; readonly error: string }
  | {
      readonly kind: "new";
      readonly row: Omit<AdvisoryRow, "document">;
      readonly advisory: Advisory;
      readonly skipped: ReadonlyMap<string, number>;
    };

function parseOrExplain(
  file: { readonly bytes: Uint8Array } | { readonly error: FormatError },
  known: Awaited<ReturnType<typeof listContentDigests>>,
): Document {
  if ("error" in file) return { kind: "quarantined", error: file.error.message };
  const contentDigest = createHash("sha256").update(file.bytes).digest("hex");
  const kept = known.get(contentDigest);
  if (kept !== undefined) return { kind: "known", kept };
  try {
    const { advisory, skipped } = parseVexDocument(file.bytes);
    const { feed, cve, revision, statements } = advisory;
    return { kind: "new", row: { feed, cve, revision, contentDigest, statementCount: statements.length }, advisory, skipped };
  } catch (error) {
    if (error instanceof FormatError) return { kind: "quarantined", error: error.message };
    throw error;
  }
}

function later(a: Date | null, text: string): Date | null {
  const time = Date.parse(text);
  return Number.isNaN(time) || (a !== null && a.getTime() >= time) ? a : new Date(time);
}
