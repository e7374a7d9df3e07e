import { createHash } from "node:crypto";
import { createReadStream, readdirSync, readFileSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { isDocumentFile, SNAPSHOT_FILE } from "@guestscan/formats/vex/document-files";
import { CentralError } from "../central-error.ts";
import type { SnapshotSource } from "./import-snapshot.ts";

/**
 * A snapshot of VEX documents: a folder (searched recursively), or one file. vex-snapshot.json in it, or beside the file, says of when and what it is.
 * Throws CentralError "bad_vulnerability_data" where there is nothing of the kind.
 */
export async function openSnapshot(path: string): Promise<SnapshotSource> {
  const isFolder = statOf(path).isDirectory();
  const folder = isFolder ? path : dirname(path);
  const description = readDescription(join(folder, SNAPSHOT_FILE), path);
  const files = description.archive !== "" ? [description.archive] : isFolder ? listFiles(path).filter(isDocumentFile) : [basename(path)];
  if (files.length === 0) throw new CentralError("bad_vulnerability_data", `${path} has no *.json, *.json.zst or *.tar.zst`);
  const open = (file: string): AsyncIterable<Uint8Array> => createReadStream(join(folder, file));
  return { files, open, fingerprint: await fingerprintOf(files, open), ...description };
}

function statOf(path: string): ReturnType<typeof statSync> & object {
  try {
    return statSync(path);
  } catch (error) {
    throw new CentralError("bad_vulnerability_data", `${path} cannot be read`, { cause: error });
  }
}

function listFiles(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length).replace(/^\/+/, ""))
    .sort();
}

async function fingerprintOf(files: readonly string[], open: (file: string) => AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for (const file of files) {
    hash.update(`${file}\0`);
    for await (const chunk of open(file)) hash.update(chunk);
  }
  return hash.digest("hex");
}

interface Description {
  /** The one file of the folder that is the snapshot; "" where every document in it is. */
  readonly archive: string;
  readonly dataDate: Date | null;
  readonly description: string;
}

/** {"archive", "dataDate", "form", "note"}; a folder without it is described by its path. */
function readDescription(file: string, path: string): Description {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    return { archive: "", dataDate: null, description: `VEX documents of ${path}` };
  }
  try {
    const { archive, dataDate, form, note } = JSON.parse(text) as Record<string, unknown>;
    const time = Date.parse(typeof dataDate === "string" ? dataDate : "");
    const words = [form, note].filter((word) => typeof word === "string" && word !== "");
    return {
      archive: typeof archive === "string" ? basename(archive) : "",
      dataDate: Number.isNaN(time) ? null : new Date(time),
      description: words.join(": "),
    };
  } catch (error) {
    throw new CentralError("bad_vulnerability_data", `${file} is no JSON`, { cause: error });
  }
}
