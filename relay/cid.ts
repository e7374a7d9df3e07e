/** A guest's vsock address: a uint32, of which 0 to 2 are the hypervisor, the host itself and the host as seen by guests. */
export type Cid = number & { readonly brand: "Cid" };

const MAX_CID = 0xff_ff_ff_ff;

/** Null for what is not the one decimal spelling of a uint32. */
export function parseCid(text: string): Cid | null {
  const value = /^(?:0|[1-9]\d{0,9})$/.test(text) ? Number(text) : Number.NaN;
  return value <= MAX_CID ? (value as Cid) : null;
}

/** No guest has one of these: a peer that shows one is a process of the host. */
export function isReservedCid(cid: Cid): boolean {
  return cid <= 2;
}
