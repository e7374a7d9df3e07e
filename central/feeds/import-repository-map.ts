import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { parseRepositoryMap } from "@guestscan/formats/cpe/repository-map";
import { FormatError } from "@guestscan/formats/format-error";
import type { Logger } from "pino";
import { CentralError } from "../central-error.ts";
import type { Database } from "../store/database.ts";
import { notifyDataChanged, readRepositoryMap, writeRepositoryMap } from "../store/vulnerability-data.ts";

const MAX_MAP_BYTES = 64 * 1024 * 1024; // the real one has 3 MB

/** repository-to-cpe.json, or the same gzipped. False where it is the one that is stored. Throws CentralError "bad_vulnerability_data". */
export async function importRepositoryMap(db: Database, file: string, now: Date, log: Logger): Promise<boolean> {
  const document = readMap(file);
  const repositoryCount = countRepositories(file, document);
  return db.transaction(async (tx) => {
    const stored = await readRepositoryMap(tx);
    if (stored !== null && Buffer.compare(stored.document, document) === 0) return false;
    await writeRepositoryMap(tx, { importedAt: now, repositoryCount, document });
    await notifyDataChanged(tx);
    log.info({ file, repositories: repositoryCount }, "imported the repository map");
    return true;
  });
}

function readMap(file: string): Buffer {
  try {
    const bytes = readFileSync(file);
    return bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzipSync(bytes, { maxOutputLength: MAX_MAP_BYTES }) : bytes;
  } catch (error) {
    throw new CentralError("bad_vulnerability_data", `the repository map ${file} cannot be read`, { cause: error });
  }
}

function countRepositories(file: string, document: Uint8Array): number {
  try {
    return parseRepositoryMap(document).size;
  } catch (error) {
    if (error instanceof FormatError)
      throw new CentralError("bad_vulnerability_data", `${file} is no repository map: ${error.message}`, { cause: error });
    throw error;
  }
}
