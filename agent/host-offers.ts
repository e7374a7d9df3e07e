import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** What a host has said that it takes. */
export interface HostOffers {
  readonly maxReportBytes: number;
  /** Of a compressed report, before it was compressed. */
  readonly maxContentBytes: number;
  readonly heartbeat: boolean;
  readonly zstd: boolean;
}

/** Remembers, until the next boot, what each address has offered. */
export interface OfferMemory {
  get(address: string): HostOffers | undefined;
  /** undefined: what listens there now offers nothing. */
  set(address: string, offers: HostOffers | undefined): void;
}

const FILE_NAME = "offers.json";

/** In the folder, and where that cannot be written, or is "", in this process only. What another boot has left does not count. */
export function rememberOffers(folder: string, bootId: string): OfferMemory {
  const known = new Map(Object.entries(folder === "" ? {} : readOffers(join(folder, FILE_NAME), bootId)));
  return {
    get: (address) => known.get(address),
    set(address, offers) {
      if (JSON.stringify(known.get(address)) === JSON.stringify(offers)) return;
      if (offers === undefined) known.delete(address);
      else known.set(address, offers);
      if (folder !== "") writeOffers(folder, { bootId, offers: Object.fromEntries(known) });
    },
  };
}

interface OfferFile {
  readonly bootId: string;
  readonly offers: Readonly<Record<string, HostOffers>>;
}

function readOffers(path: string, bootId: string): OfferFile["offers"] {
  try {
    const file = JSON.parse(readFileSync(path, "utf8")) as OfferFile;
    return file.bootId === bootId ? Object.fromEntries(Object.entries(file.offers).filter(([, offers]) => isOffers(offers))) : {};
  } catch {
    return {};
  }
}

function isOffers({ maxReportBytes, maxContentBytes, heartbeat, zstd }: HostOffers): boolean {
  const numbers = [maxReportBytes, maxContentBytes].every((value) => Number.isSafeInteger(value) && value >= 0);
  return numbers && typeof heartbeat === "boolean" && typeof zstd === "boolean";
}

/** Without it the host is asked again. */
function writeOffers(folder: string, file: OfferFile): void {
  try {
    mkdirSync(folder, { recursive: true });
    const path = join(folder, FILE_NAME);
    writeFileSync(`${path}.new`, JSON.stringify(file), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  } catch {
    // read-only, or not ours
  }
}
