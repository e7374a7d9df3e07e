/** In a report of the real agent, field 1 of field 1: the CID in decimal, here of two digits. */
const CID_FIELD = Buffer.from([0x0a, 2]);

/** The report as another guest with a CID of two digits would send it. */
export function relabelReport(report: Uint8Array, cid: number): Buffer {
  const copy = Buffer.from(report);
  const at = copy.subarray(0, 16).indexOf(CID_FIELD) + CID_FIELD.length;
  if (at < CID_FIELD.length || !/^\d\d$/.test(copy.toString("latin1", at, at + 2)) || !/^\d\d$/.test(String(cid)))
    throw new Error("the report has no CID of two digits where the real agent writes it");
  copy.write(String(cid), at, "latin1");
  return copy;
}

const UNKNOWN_FIELD = Buffer.from([0xfa, 0x7f]); // number 2047, length-delimited

/** The report with a field more, of `size` bytes, that every reader passes over. */
export function padReport(report: Uint8Array, size: number): Buffer {
  const length: number[] = [];
  for (let rest = size; ; rest >>>= 7) {
    if (rest < 0x80) {
      length.push(rest);
      break;
    }
    length.push((rest & 0x7f) | 0x80);
  }
  return Buffer.concat([report, UNKNOWN_FIELD, Buffer.from(length), Buffer.alloc(size, 0x20)]);
}
