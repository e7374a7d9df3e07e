/** The pages that a reader has been to: a bit each, so that a chain which runs in a circle ends. */
export interface PageSet {
  /** False if there is no such page or it was added before. */
  add(page: number): boolean;
  has(page: number): boolean;
}

/** For pages 0 to `count`; takes count / 8 bytes. */
export function createPageSet(count: number): PageSet {
  const bits = new Uint8Array((count >> 3) + 1);
  return {
    add(page) {
      if (page < 0 || page > count) return false;
      const byte = bits[page >> 3] ?? 0;
      const bit = 1 << (page & 7);
      bits[page >> 3] = byte | bit;
      return (byte & bit) === 0;
    },
    has: (page) => ((bits[page >> 3] ?? 0) & (1 << (page & 7))) !== 0,
  };
}
