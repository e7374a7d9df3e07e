import type { ByteSource } from "../bytes.ts";
import { FormatError } from "../format-error.ts";
import type { Damage, DatabaseFiles, HeaderBlob } from "./database.ts";

// https://github.com/rpm-software-management/rpm/blob/rpm-4.18.0-release/lib/backend/ndb/rpmpkg.c, all numbers u32 little-endian
const HEADER_SIZE = 32; // magic, version, generation, pages of slots, next package index, 12 unused
const MAGIC = 0x506d7052; // "RpmP"
const VERSION = 0;
const PAGE_SIZE = 4096;
const SLOT_SIZE = 16; // magic, package index, first block or 0 (free), blocks
const SLOT_MAGIC = 0x746f6c53; // "Slot"
const BLOCK_SIZE = 16;
const BLOB_HEAD_SIZE = 16; // magic, package index, generation, length of the header
const BLOB_HEAD_MAGIC = 0x53626c42; // "BlbS"
const BLOB_TAIL_SIZE = 12; // adler32 of all before it, length of the header, magic
const BLOB_TAIL_MAGIC = 0x45626c42; // "BlbE"

/** Of one blob: rpm's own limit of a header. */
const MAX_BLOB_BYTES = 2 ** 28;
/** 4 million packages. */
const MAX_SLOT_PAGES = 2 ** 14;

/** Whether bytes from the start of a file are rpm's own database ("ndb"). */
export function isNdb(start: Uint8Array): boolean {
  return start.length >= 4 && new DataView(start.buffer, start.byteOffset, start.length).getUint32(0, true) === MAGIC;
}

/**
 * The headers of a `Packages.db` file by slot. Blobs cannot overlap, so that no more is read than the file has.
 * Damage: "truncated_file", "bad_slot" (once per page of slots), "bad_blob".
 * Throws FormatError "malformed", "unsupported" or "too_large" when the file's header does not describe such a file.
 */
export function* readNdbHeaders(files: DatabaseFiles, onDamage: (damage: Damage) => void): Generator<HeaderBlob> {
  const { main } = files;
  const slotPages = readSlotPageCount(main);
  let unread = main.size; // bytes that blobs may still take
  for (let number = 0; number < slotPages; number++) {
    const page = main.read(number * PAGE_SIZE, PAGE_SIZE).slice();
    if (page.length < PAGE_SIZE) {
      onDamage({ code: "truncated_file", detail: `ndb file ends in page ${number} of its ${slotPages} pages of slots` });
      return;
    }
    let badSlots = 0;
    for (const slot of listSlots(page, number === 0 ? HEADER_SIZE : 0)) {
      if (slot === "bad_slot" || slot.firstBlock < (slotPages * PAGE_SIZE) / BLOCK_SIZE) {
        badSlots++;
        continue;
      }
      const size = slot.blocks * BLOCK_SIZE;
      const blob = size > Math.min(unread, MAX_BLOB_BYTES) ? `${size} bytes are more than there can be` : readBlob(main, slot);
      if (typeof blob === "string") {
        onDamage({ code: "bad_blob", detail: `ndb package ${slot.instance} at block ${slot.firstBlock}: ${blob}` });
        continue;
      }
      unread -= size;
      yield { instance: slot.instance, bytes: blob };
    }
    if (badSlots > 0) onDamage({ code: "bad_slot", detail: `ndb page ${number}: ${badSlots} slots are none` });
  }
}

function readSlotPageCount(file: ByteSource): number {
  const header = file.read(0, HEADER_SIZE);
  if (header.length < HEADER_SIZE || !isNdb(header))
    throw new FormatError("malformed", "not an ndb file: it does not start with its magic number");
  const view = new DataView(header.buffer, header.byteOffset, HEADER_SIZE);
  const [version, slotPages] = [view.getUint32(4, true), view.getUint32(12, true)];
  if (version !== VERSION) throw new FormatError("unsupported", `ndb file of version ${version}; ${VERSION} is read`);
  if (slotPages > MAX_SLOT_PAGES)
    throw new FormatError("too_large", `ndb file has ${slotPages} pages of slots, more than ${MAX_SLOT_PAGES}`);
  return slotPages;
}

interface Slot {
  readonly instance: number;
  readonly firstBlock: number;
  readonly blocks: number;
}

/** The slots in use. */
function* listSlots(page: Uint8Array, start: number): Generator<Slot | "bad_slot"> {
  const view = new DataView(page.buffer, page.byteOffset, page.length);
  for (let at = start; at < PAGE_SIZE; at += SLOT_SIZE) {
    const [instance, firstBlock, blocks] = [view.getUint32(at + 4, true), view.getUint32(at + 8, true), view.getUint32(at + 12, true)];
    if (view.getUint32(at, true) !== SLOT_MAGIC) yield "bad_slot";
    else if (firstBlock !== 0) yield instance === 0 || blocks === 0 ? "bad_slot" : { instance, firstBlock, blocks };
  }
}

/** The header in a blob, until the next read, or what is wrong with it. */
function readBlob(file: ByteSource, slot: Slot): Uint8Array | string {
  const size = slot.blocks * BLOCK_SIZE;
  const bytes = file.read(slot.firstBlock * BLOCK_SIZE, size);
  if (bytes.length < size) return "the file ends in it";
  if (size < BLOB_HEAD_SIZE + BLOB_TAIL_SIZE) return `${size} bytes are no blob`;
  const view = new DataView(bytes.buffer, bytes.byteOffset, size);
  const tail = size - BLOB_TAIL_SIZE;
  if (view.getUint32(0, true) !== BLOB_HEAD_MAGIC || view.getUint32(tail + 8, true) !== BLOB_TAIL_MAGIC)
    return "it does not start and end as a blob";
  const [instance, length] = [view.getUint32(4, true), view.getUint32(12, true)];
  if (instance !== slot.instance) return `it is package ${instance}`;
  if (BLOB_HEAD_SIZE + length > tail || view.getUint32(tail + 4, true) !== length) return `${length} bytes of header do not fit`;
  if (view.getUint32(tail, true) !== adler32(bytes.subarray(0, tail))) return "its checksum is wrong";
  return bytes.subarray(BLOB_HEAD_SIZE, BLOB_HEAD_SIZE + length);
}

/** RFC 1950, section 9. */
function adler32(bytes: Uint8Array): number {
  let [a, b] = [1, 0];
  for (let start = 0; start < bytes.length; start += 3800) {
    const end = Math.min(start + 3800, bytes.length); // sums of 3800 bytes stay below 2^31
    for (let i = start; i < end; i++) {
      a += bytes[i] ?? 0;
      b += a;
    }
    a %= 65521;
    b %= 65521;
  }
  return ((b << 16) | a) >>> 0;
}
