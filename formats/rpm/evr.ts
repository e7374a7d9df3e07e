import { FormatError } from "../format-error.ts";

/** Epoch, version and release of one build. Epoch 0 and no epoch are the same to rpm. */
export interface Evr {
  readonly epoch: number;
  readonly version: string;
  readonly release: string;
}

const MAX_EPOCH = 2 ** 32 - 1;

/**
 * Reads `[epoch:]version[-release]`, as rpm's parseEVR() does: the release follows the last "-"; a ":" that follows no digits alone is part of the version.
 * https://github.com/rpm-software-management/rpm/blob/a8f0192/rpmio/rpmver.cc. Throws FormatError "malformed" for an empty version or an epoch past 2^32-1.
 */
export function parseEvr(text: string): Evr {
  const [, epochText, rest = ""] = /^(?:(\d*):)?([^]*)$/.exec(text) ?? [];
  const epoch = Number(epochText ?? 0);
  const dash = rest.lastIndexOf("-");
  const [version, release] = dash === -1 ? [rest, ""] : [rest.slice(0, dash), rest.slice(dash + 1)];
  if (version === "" || epoch > MAX_EPOCH)
    throw new FormatError("malformed", `not an epoch, version and release: ${JSON.stringify(text.slice(0, 200))}`);
  return { epoch, version, release };
}

/** `epoch:version-release`, without epoch 0 and without an empty release: what parseEvr reads back. */
export function formatEvr({ epoch, version, release }: Evr): string {
  return `${epoch === 0 ? "" : `${epoch}:`}${version}${release === "" ? "" : `-${release}`}`;
}

/** Negative if a is older than b, 0 if rpm calls them equal: by epoch, then version, then release; no release is older than any. */
export function compareEvr(a: Evr, b: Evr): number {
  return (
    a.epoch - b.epoch ||
    compareLabel(a.version, b.version) ||
    Number(a.release !== "") - Number(b.release !== "") ||
    compareLabel(a.release, b.release)
  );
}

/** Negative if a is older than b, 0 if rpm calls them equal. The order of rpmvercmp() since rpm 4.15:
 *  https://github.com/rpm-software-management/rpm/blob/a8f0192/rpmio/rpmvercmp.cc */
export function compareLabel(a: string, b: string): number {
  if (a === b) return 0;
  const [as, bs] = [segments(a), segments(b)];
  for (let i = 0; i < Math.max(as.length, bs.length); i++) {
    const order = compareSegment(as[i], bs[i]);
    if (order !== 0) return order;
  }
  return 0;
}

/** "1.0~rc1" is ["1", "0", "~", "rc", "1"]. Every other character only separates. */
function segments(label: string): string[] {
  return label.match(/\d+|[a-zA-Z]+|[~^]/g) ?? [];
}

function compareSegment(a: string | undefined, b: string | undefined): number {
  const byRank = rank(a) - rank(b);
  if (byRank !== 0 || a === undefined || b === undefined) return byRank;
  if (rank(a) !== DIGITS) return compareText(a, b);
  const [x, y] = [a.replace(/^0+/, ""), b.replace(/^0+/, "")]; // not Number(): a date stamp can pass 2^53
  return x.length - y.length || compareText(x, y);
}

const [TILDE, END, CARET, LETTERS, DIGITS] = [0, 1, 2, 3, 4]; // an older kind of segment has the lower rank

function rank(segment: string | undefined): number {
  if (segment === undefined) return END;
  if (segment === "~") return TILDE;
  if (segment === "^") return CARET;
  return segment < "A" ? DIGITS : LETTERS;
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
