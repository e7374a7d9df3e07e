import { promisify } from "node:util";
import { zstdCompress, zstdDecompress } from "node:zlib";
import type { Advisory, Statement } from "@guestscan/formats/vex/advisory";

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** The parts of a statement of which a document has few different ones. */
const PARTS = [
  "productId",
  "cpe",
  "name",
  "kind",
  "upstream",
  "module",
  "arches",
  "status",
  "severity",
  "cvss",
] as const satisfies readonly (keyof Statement)[];

/** An advisory whose statements are numbers, one per part, into a table of the different ones: a tenth of the bytes, and parts that are shared when it is read. */
interface PackedAdvisory extends Omit<Advisory, "statements"> {
  readonly tables: readonly (readonly unknown[])[];
  /** PARTS.length numbers per statement. */
  readonly statements: readonly number[];
}

/** JSON, zstd. */
export function packAdvisory({ statements, ...rest }: Advisory): Promise<Buffer> {
  const tables = PARTS.map(() => new Map<string, number>());
  const numbers = statements.flatMap((statement) => PARTS.map((part, i) => numberOf(tables[i], JSON.stringify(statement[part]))));
  const packed: PackedAdvisory = {
    ...rest,
    tables: tables.map((table) => [...table.keys()].map((text) => JSON.parse(text) as unknown)),
    statements: numbers,
  };
  return compress(JSON.stringify(packed));
}

function numberOf(table: Map<string, number> | undefined, text: string): number {
  const known = table?.get(text);
  if (known !== undefined || table === undefined) return known ?? 0;
  table.set(text, table.size);
  return table.size - 1;
}

export async function unpackAdvisory(bytes: Uint8Array): Promise<Advisory> {
  const { tables, statements: numbers, ...rest } = JSON.parse((await decompress(bytes)).toString()) as PackedAdvisory;
  const statements = Array.from({ length: numbers.length / PARTS.length }, (_, row): Statement => {
    const part = (i: number): unknown => tables[i]?.[numbers[row * PARTS.length + i] ?? 0];
    // By hand, in the order of PARTS: one shape for a million objects.
    return {
      productId: part(0) as string,
      cpe: part(1) as string,
      name: part(2) as string,
      kind: part(3) as Statement["kind"],
      upstream: part(4) as string,
      module: part(5) as string,
      arches: part(6) as Statement["arches"],
      status: part(7) as Statement["status"],
      severity: part(8) as Statement["severity"],
      cvss: part(9) as Statement["cvss"],
    };
  });
  return { ...rest, statements };
}
