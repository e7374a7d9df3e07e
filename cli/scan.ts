import type { RepositoryMap } from "@guestscan/formats/cpe/repository-map";
import type { Inventory } from "@guestscan/formats/report/inventory";
import { type JudgedPackage, matchInventory } from "@guestscan/matcher/match-inventory";
import { loadTables } from "@guestscan/matcher/tables";
import { EXIT, type ExitCode } from "./exit-code.ts";
import { formatTable, toFindingRows } from "./finding-rows.ts";
import { readReportFile, scanRoot } from "./read-inventory.ts";
import { readRepositoryMapFile, readVex, type VexReading } from "./read-vulnerability-data.ts";

export interface ScanOptions {
  readonly guest: { readonly kind: "root"; readonly folder: string } | { readonly kind: "report"; readonly file: string };
  readonly vex: string;
  readonly repositoryMap: string;
  readonly format: "json" | "table";
  /** Also under_investigation and not_affected. */
  readonly all: boolean;
}

export interface ScanDeps {
  readonly version: string;
  /** The result, for standard output. */
  readonly print: (text: string) => void;
  /** One line for a person, for standard error. */
  readonly say: (line: string) => void;
  /** How far it is, a line that replaces the one before; "" takes it away. */
  readonly progress: (line: string) => void;
}

const PROGRESS_EVERY = 500;

/** `guestscan scan`: the agent's scan and Central's match, without either. Throws CliError where there is nothing to judge or to judge by. */
export async function scan(options: ScanOptions, deps: ScanDeps): Promise<ExitCode> {
  const repositoryMap = readRepositoryMapFile(options.repositoryMap);
  const inventory = await readGuest(options.guest, repositoryMap, deps);
  for (const { code, detail, path } of inventory.scan.reasons) deps.say(`guest: ${path === "" ? "" : `${path}: `}${detail} (${code})`);
  if (inventory.scan.state === "failed") {
    deps.say("guest: no packages could be read");
    return EXIT.badInput;
  }
  const reading = await readVexOf(options.vex, inventory, deps);
  const judged = matchInventory(loadTables(reading.advisories), inventory, repositoryMap, { all: options.all });
  const rows = toFindingRows(judged);
  deps.print(options.format === "json" ? `${JSON.stringify(rows, null, 1)}\n` : formatTable(rows));
  for (const line of summarizeUnscanned(judged)) deps.say(line);
  const packages = judged.filter(({ findings }) => findings.length > 0).length;
  deps.say(`${rows.length} findings in ${packages} of ${judged.length} packages, by ${reading.documentCount} VEX documents`);
  return inventory.scan.state === "partial" || reading.brokenCount > 0 ? EXIT.partial : EXIT.done;
}

function readGuest(guest: ScanOptions["guest"], repositoryMap: RepositoryMap, { version }: ScanDeps): Inventory | Promise<Inventory> {
  return guest.kind === "root" ? scanRoot(guest.folder, repositoryMap, version) : readReportFile(guest.file);
}

async function readVexOf(path: string, { packages }: Inventory, { say, progress }: ScanDeps): Promise<VexReading> {
  const names = new Set(packages.flatMap(({ name, sourceName }) => [name, sourceName]));
  const reading = await readVex(path, names, {
    onBroken: (file, reason) => say(`VEX document ${file} is left out: ${reason}`),
    onOdd: (reason, count) => say(`VEX documents: ${count} entries passed over that nobody knows: ${reason}`),
    onRead: (count) => {
      if (count % PROGRESS_EVERY === 0) progress(`${count} VEX documents read`);
    },
  });
  progress("");
  return reading;
}

/** One line per reason: how many packages, what is the case with the first of them, what to do. */
function summarizeUnscanned(judged: readonly JudgedPackage[]): readonly string[] {
  const byCode = Map.groupBy(
    judged.flatMap(({ unscanned }) => unscanned ?? []),
    ({ code }) => code,
  );
  return [...byCode].map(([code, [first, ...others]]) => {
    const more = others.length === 0 ? "" : ` (and ${others.length} more)`;
    return `not judged, ${code}${more}: ${first?.detail} ${first?.action}`;
  });
}
