import { FormatError } from "../format-error.ts";
import type { Inventory, InventoryPackage, MachineFacts, RepoidSource, ScanReason, ScanStatus } from "./inventory.ts";
import { MAX_PACKAGES, openReport } from "./scan-report.ts";
import { WireCursor } from "./wire-cursor.ts";

/**
 * Reads a report of either form, after scanReport has found it sound. Texts are shared between packages; text that is not UTF-8, and NUL, which databases refuse,
 * becomes U+FFFD rather than the loss of the whole guest. The maps are read, and the deprecated lists where a map is empty; the last of equal map keys counts.
 * Compressed content is unpacked.
 * Throws FormatError as scanReport does, "too_large" past MAX_PACKAGES, and "malformed" for a heartbeat.
 */
export function decodeReport(sent: Uint8Array): Inventory {
  const { scanned, bytes } = openReport(sent);
  const { form, isHeartbeat } = scanned;
  if (isHeartbeat) throw new FormatError("malformed", "a heartbeat says nothing of the guest but that it has not changed");
  const reader: Reader = { bytes, texts: new Map() };
  const whole: Range = { start: 0, stop: bytes.length };
  const report: Fields = form === "vm_report" ? lastOfEach(bytes, whole) : new Map([[1, whole]]);
  const index = lastOfEach(bytes, lastOfEach(bytes, report.get(1)).get(2));
  const contents = index.get(5);
  const packages = readPackages(reader, contents, form === "vm_report" ? readOrigins(reader, whole) : new Map());
  const machine = readMachine(reader, report.get(1002));
  const [distribution] = readTable(reader, contents, { map: 6, list: 2 }).values();
  const discovered = lastOfEach(bytes, report.get(2));
  return {
    os: readOs(reader, discovered, lastOfEach(bytes, distribution), machine),
    activation: ACTIVATION[numberAt(bytes, discovered.get(3))] ?? "unspecified",
    dnfMetadata: DNF_METADATA[numberAt(bytes, discovered.get(4))] ?? "unspecified",
    scan: readScan(reader, report.get(1001), index, packages.length),
    packages,
    machine,
  };
}

const ACTIVATION = ["unspecified", "active", "inactive"] as const;
const DNF_METADATA = ["unspecified", "available", "unavailable"] as const;
const SCAN_STATES = [undefined, "ok", "partial", "failed"] as const;
const ORIGINS = ["inferred", "dnf_history", "kickstart", "content_manifest", "inferred", "yumdb"] as const;
const MAX_REASONS = 100;
/** Of an inferred origin; our agent states two. */
const MAX_CANDIDATES = 8;

/** Where a payload is in the report. */
interface Range {
  readonly start: number;
  readonly stop: number;
}

type Fields = ReadonlyMap<number, Range>;

interface Reader {
  readonly bytes: Uint8Array;
  /** Each text once, however often it is in the report. */
  readonly texts: Map<string, string>;
}

function eachField(bytes: Uint8Array, range: Range | undefined, visit: (field: number, payload: Range) => void): void {
  if (range === undefined) return;
  const cursor = new WireCursor(bytes);
  cursor.at = range.start;
  while (cursor.next(range.stop)) visit(cursor.field, { start: cursor.start, stop: cursor.stop });
}

/** For messages without lists: protobuf's rule for a field that comes again. */
function lastOfEach(bytes: Uint8Array, range: Range | undefined): Fields {
  const fields = new Map<number, Range>();
  eachField(bytes, range, (field, payload) => fields.set(field, payload));
  return fields;
}

function textAt({ bytes, texts }: Reader, range: Range | undefined): string {
  if (range === undefined || range.start === range.stop) return "";
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + range.start, range.stop - range.start)
    .toString("utf8")
    .replaceAll("\0", "\uFFFD");
  const known = texts.get(text);
  if (known !== undefined) return known;
  texts.set(text, text);
  return text;
}

function numberAt(bytes: Uint8Array, range: Range | undefined): number {
  if (range === undefined) return 0;
  const cursor = new WireCursor(bytes);
  [cursor.start, cursor.stop] = [range.start, range.stop];
  return cursor.number();
}

/** The values of a map of Contents by their keys; where it is empty, the entries of its deprecated list by their ids (field 1). */
function readTable(
  reader: Reader,
  contents: Range | undefined,
  field: { readonly map: number; readonly list: number },
): Map<string, Range> {
  const mapped = readMap(reader, contents, field.map);
  if (mapped.size > 0) return mapped;
  const listed = new Map<string, Range>();
  eachField(reader.bytes, contents, (number, payload) => {
    if (number === field.list) put(listed, textAt(reader, lastOfEach(reader.bytes, payload).get(1)), payload);
  });
  return listed;
}

/** An entry of a map is a message of key (1) and value (2), either of which is left out when empty. */
function readMap(reader: Reader, contents: Range | undefined, mapField: number): Map<string, Range> {
  const values = new Map<string, Range>();
  eachField(reader.bytes, contents, (number, payload) => {
    if (number !== mapField) return;
    const entry = lastOfEach(reader.bytes, payload);
    put(values, textAt(reader, entry.get(1)), entry.get(2) ?? { start: payload.stop, stop: payload.stop });
  });
  return values;
}

function put(table: Map<string, Range>, key: string, value: Range): void {
  table.set(key, value);
  if (table.size > MAX_PACKAGES) throw new FormatError("too_large", `a report of more than ${MAX_PACKAGES} packages or repositories`);
}

interface Origin {
  readonly repoid: string;
  readonly repoidSource: RepoidSource;
}

/** An origin as our agent states it; an inferred one may be one of several. */
interface StatedOrigin extends Origin {
  readonly candidates: InventoryPackage["repositories"];
}

function readOrigins(reader: Reader, report: Range): ReadonlyMap<string, StatedOrigin> {
  const origins = new Map<string, StatedOrigin>();
  eachField(reader.bytes, report, (field, payload) => {
    if (field !== 1003) return;
    const origin = lastOfEach(reader.bytes, payload);
    const repoid = textAt(reader, origin.get(2));
    if (repoid === "") return;
    const id = textAt(reader, origin.get(1));
    const repoidSource = ORIGINS[numberAt(reader.bytes, origin.get(3))] ?? "inferred";
    const known = origins.get(id);
    if (repoidSource !== "inferred") origins.set(id, { repoid, repoidSource, candidates: [] });
    else if (known?.repoidSource !== "inferred") origins.set(id, { repoid, repoidSource, candidates: [{ repoid, cpe: "" }] });
    else if (known.candidates.length < MAX_CANDIDATES && known.candidates.every((candidate) => candidate.repoid !== repoid))
      origins.set(id, { ...known, candidates: [...known.candidates, { repoid, cpe: "" }] });
  });
  return origins;
}

function readPackages(
  reader: Reader,
  contents: Range | undefined,
  origins: ReadonlyMap<string, StatedOrigin>,
): readonly InventoryPackage[] {
  const repositoriesOf = createRepositoryReader(reader, contents);
  return [...readTable(reader, contents, { map: 5, list: 1 })].map(([id, range]) => {
    const fields = lastOfEach(reader.bytes, range);
    const source = lastOfEach(reader.bytes, fields.get(7));
    const { candidates, ...origin } = origins.get(id) ?? { ...hintedOrigin(reader, fields.get(9)), candidates: [] };
    const attached = repositoriesOf(id);
    return {
      name: textAt(reader, fields.get(2)),
      evr: textAt(reader, fields.get(3)),
      arch: textAt(reader, fields.get(11)),
      module: textAt(reader, fields.get(10)),
      sourceName: textAt(reader, source.get(2)),
      sourceEvr: textAt(reader, source.get(3)),
      packageDb: textAt(reader, fields.get(8)),
      ...origin,
      repositories: candidates.length > 1 ? [...attached, ...candidates] : attached,
    };
  });
}

/** "@System" is what dnf notes for a reinstalled package: the database, not a repository. */
function hintedOrigin(reader: Reader, hint: Range | undefined): Origin {
  const repoid = queryValue(reader, hint, "repoid");
  return repoid === "" || repoid === "@System" ? { repoid: "", repoidSource: "none" } : { repoid, repoidSource: "hint" };
}

/** Hints and repository URIs are URL query text. */
function queryValue({ bytes, texts }: Reader, range: Range | undefined, name: string): string {
  if (range === undefined) return "";
  const query = Buffer.from(bytes.buffer, bytes.byteOffset + range.start, range.stop - range.start).toString("utf8");
  const value = (new URLSearchParams(query).get(name) ?? "").replaceAll("\0", "\uFFFD");
  const known = texts.get(value);
  if (known === undefined) texts.set(value, value);
  return known ?? value;
}

/** Packages with the same repositories share one array. */
function createRepositoryReader(reader: Reader, contents: Range | undefined): (packageId: string) => InventoryPackage["repositories"] {
  const environments = readEnvironments(reader, contents);
  const repositories = new Map(
    [...readTable(reader, contents, { map: 7, list: 3 })].map(([id, range]) => {
      const fields = lastOfEach(reader.bytes, range);
      return [id, { repoid: queryValue(reader, fields.get(4), "repoid"), cpe: textAt(reader, fields.get(5) ?? fields.get(2)) }];
    }),
  );
  const shared = new Map<string, InventoryPackage["repositories"]>();
  return (packageId) => {
    const ids = repositoryIds(reader, environments.get(packageId));
    const key = JSON.stringify(ids);
    const known = shared.get(key) ?? ids.flatMap((id) => repositories.get(id) ?? []);
    shared.set(key, known);
    return known;
  };
}

/** Lists of environments by package id; the deprecated field is a map as well. */
function readEnvironments(reader: Reader, contents: Range | undefined): ReadonlyMap<string, Range> {
  const current = readMap(reader, contents, 8);
  return current.size > 0 ? current : readMap(reader, contents, 4);
}

function repositoryIds(reader: Reader, list: Range | undefined): readonly string[] {
  const ids = new Set<string>();
  eachField(reader.bytes, list, (listField, environment) => {
    if (listField !== 1) return;
    eachField(reader.bytes, environment, (field, payload) => {
      if (field === 4) ids.add(textAt(reader, payload));
    });
  });
  return [...ids];
}

function readMachine(reader: Reader, range: Range | undefined): MachineFacts | null {
  if (range === undefined) return null;
  const fields = lastOfEach(reader.bytes, range);
  return {
    agentVersion: textAt(reader, fields.get(1)),
    runningKernel: textAt(reader, fields.get(2)),
    arch: textAt(reader, fields.get(3)),
    osName: textAt(reader, fields.get(4)),
  };
}

/** A bare IndexReport has no discovered data; what its distribution says is put into the same words. */
function readOs(reader: Reader, discovered: Fields, distribution: Fields, machine: MachineFacts | null): Inventory["os"] {
  const prettyName = textAt(reader, distribution.get(9)) || (machine?.osName ?? "");
  const detected = numberAt(reader.bytes, discovered.get(1)) === 1 ? "rhel" : "unknown";
  const version = textAt(reader, discovered.get(2));
  if (detected === "rhel" || version !== "") return { detected, version, prettyName };
  const [did, versionId] = [textAt(reader, distribution.get(2)), textAt(reader, distribution.get(6))];
  return did === "rhel"
    ? { detected: "rhel", version: versionId, prettyName }
    : { detected, version: `${did} ${versionId}`.trim(), prettyName };
}

function readScan(reader: Reader, status: Range | undefined, index: Fields, packages: number): ScanStatus {
  const { state, reasons } = status === undefined ? indexStatus(reader, index) : readScanStatus(reader, status);
  if (packages > 0) return { state: state ?? "ok", reasons };
  return {
    state: "failed",
    reasons: reasons.length > 0 ? reasons : [{ code: "no_packages", detail: "the report lists no packages", path: "" }],
  };
}

interface StatedStatus {
  readonly state: ScanStatus["state"] | undefined;
  readonly reasons: readonly ScanReason[];
}

function readScanStatus(reader: Reader, status: Range): StatedStatus {
  const reasons: ScanReason[] = [];
  eachField(reader.bytes, status, (field, payload) => {
    if (field !== 2 || reasons.length === MAX_REASONS) return; // KNOWN LIMIT: later reasons are left out
    const [code, detail, path] = [1, 2, 3].map((number) => textAt(reader, lastOfEach(reader.bytes, payload).get(number)));
    reasons.push({ code: code ?? "", detail: detail ?? "", path: path ?? "" });
  });
  return { state: SCAN_STATES[numberAt(reader.bytes, lastOfEach(reader.bytes, status).get(1))], reasons };
}

/** What an agent without a scan status says of itself: success (3), and state (2) and err (4) where it is not. */
function indexStatus(reader: Reader, index: Fields): StatedStatus {
  if (numberAt(reader.bytes, index.get(3)) === 1) return { state: undefined, reasons: [] };
  const detail = textAt(reader, index.get(4)) || `the index ended in state "${textAt(reader, index.get(2))}"`;
  return { state: "partial", reasons: [{ code: "index_unfinished", detail, path: "" }] };
}
