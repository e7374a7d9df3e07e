import { BYTES, VARINT } from "./wire-cursor.ts";

/** What a known field must look like. Unknown fields are skipped whole. */
export interface FieldShape {
  readonly wireType: number;
  /** The message inside, "" for text, bytes and numbers. */
  readonly message: MessageName | "";
  /** A bit of its own for a field that senders write at most once, and a second one of which is refused, so that every reader takes the same one; 0 for the rest. */
  readonly onceBit: number;
}

export type MessageName = keyof typeof FIELDS;

/** The messages of proto/virtualmachine/v1, proto/scanner/v4 and proto/guestscan/report/v1, as far as a report holds them; numbers are field numbers. */
const FIELDS = {
  VMReport: {
    text: [1004, 1005],
    once: { 1: "IndexReport", 2: "DiscoveredData", 1000: "Envelope", 1001: "ScanStatus", 1002: "Texts" },
    many: { 1003: "PackageOrigin" },
  },
  IndexReport: { text: [1, 3], once: { 2: "IndexV4" } },
  IndexV4: { text: [1, 2, 4], varint: [3], once: { 5: "Contents" } },
  Contents: {
    many: {
      1: "Package",
      2: "Distribution",
      3: "Repository",
      4: "EnvironmentEntry",
      5: "PackageEntry",
      6: "DistributionEntry",
      7: "RepositoryEntry",
      8: "EnvironmentEntry",
    },
  },
  PackageEntry: { text: [1], many: { 2: "Package" } },
  DistributionEntry: { text: [1], many: { 2: "Distribution" } },
  RepositoryEntry: { text: [1], many: { 2: "Repository" } },
  EnvironmentEntry: { text: [1], many: { 2: "EnvironmentList" } },
  EnvironmentList: { many: { 1: "Environment" } },
  Package: { text: [1, 2, 3, 5, 6, 8, 9, 10, 11, 12], many: { 4: "NormalizedVersion", 7: "Package" } },
  NormalizedVersion: { text: [1] },
  Distribution: { text: [1, 2, 3, 4, 5, 6, 7, 8, 9] },
  Repository: { text: [1, 2, 3, 4, 5] },
  Environment: { text: [1, 2, 3, 4] },
  DiscoveredData: { text: [2], varint: [1, 3, 4] },
  Envelope: { text: [1, 2, 5], varint: [3, 4, 6] },
  ScanStatus: { varint: [1], many: { 2: "Texts" } },
  Texts: { text: [1, 2, 3, 4, 5, 6] },
  PackageOrigin: { text: [1, 2], varint: [3] },
} as const satisfies Record<string, MessageFields>;

interface MessageFields {
  readonly text?: readonly number[];
  readonly varint?: readonly number[];
  readonly once?: Readonly<Record<number, string>>;
  readonly many?: Readonly<Record<number, string>>;
}

/** The known fields of each message, by number. */
export const SHAPES = Object.fromEntries(Object.entries(FIELDS).map(([name, fields]) => [name, shapes(fields)])) as Record<
  MessageName,
  ReadonlyMap<number, FieldShape>
>;

function shapes(fields: MessageFields): ReadonlyMap<number, FieldShape> {
  const plain = (numbers: readonly number[] | undefined, wireType: number): [number, FieldShape][] =>
    (numbers ?? []).map((field) => [field, { wireType, message: "", onceBit: 0 }]);
  const nested = (of: Readonly<Record<number, string>> | undefined, bit: (index: number) => number): [number, FieldShape][] =>
    Object.entries(of ?? {}).map(([field, message], i) => [
      Number(field),
      { wireType: BYTES, message: message as MessageName, onceBit: bit(i) },
    ]);
  return new Map([
    ...plain(fields.text, BYTES),
    ...plain(fields.varint, VARINT),
    ...nested(fields.once, (index) => 1 << index),
    ...nested(fields.many, () => 0),
  ]);
}
