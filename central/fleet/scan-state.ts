import type { ScanReason } from "@guestscan/formats/report/inventory";
import type { UnscannedReason } from "@guestscan/matcher/scope";
import { memoize } from "../memoize.ts";
import type { FleetVm, JudgedInventory } from "./fleet.ts";

export type ScanStateName = "never_reported" | "ok" | "partial" | "failed" | "unsupported" | "refused";

export interface ScanState {
  readonly state: ScanStateName;
  /** Empty when ok; the main one first. */
  readonly reasons: readonly StateReason[];
}

export interface StateReason {
  readonly code: string;
  readonly detail: string;
  readonly action: string;
  /** Packages concerned; 0 where that says nothing. */
  readonly count: number;
}

/** Where the newest scan of a virtual machine stands: no findings is good news only in the state "ok". */
export function scanStateOf({ attempt, scan, inventory }: FleetVm): ScanState {
  if (attempt === null)
    return {
      state: "never_reported",
      reasons: [
        {
          code: "never_reported",
          detail: "No agent of this virtual machine has reported yet.",
          action: "Start roxagent in the guest, as root, and see that the virtual machine has a vsock device (autoattachVSOCK: true).",
          count: 0,
        },
      ],
    };
  if (attempt.kind === "refused") return { state: "refused", reasons: attempt.reasons.map(fromAgent) };
  if (attempt.kind === "failed") return { state: "failed", reasons: attempt.reasons.map(fromAgent) };
  if (scan?.state === "partial" && scan.reasons.length > 0)
    return { state: "partial", reasons: [...scan.reasons.map(fromAgent), ...supportedOnly(inventory)] };
  if (inventory !== null && isUnsupported(inventory))
    return {
      state: "unsupported",
      reasons: [
        {
          code: "os_unsupported",
          detail: `The vulnerability data is Red Hat's and says nothing of ${osName(inventory)}.`,
          action: "Nothing is to be done in the guest; packages of Red Hat Enterprise Linux only are judged.",
          count: inventory.packages.length,
        },
      ],
    };
  const reasons = inventory === null ? [] : unscannedReasons(inventory);
  return { state: reasons.length === 0 ? "ok" : "partial", reasons };
}

/** Another system than RHEL that says which one it is; one that does not say may still be RHEL. */
export function isUnsupported({ os }: JudgedInventory): boolean {
  return os.detected === "unknown" && os.version !== "";
}

function osName({ os }: JudgedInventory): string {
  return os.prettyName === "" ? os.version : os.prettyName;
}

/** What keeps packages from being judged is worth a word only where something could be judged. */
function supportedOnly(inventory: JudgedInventory | null): readonly StateReason[] {
  return inventory === null || isUnsupported(inventory) ? [] : unscannedReasons(inventory);
}

/** One per code, with the number of packages; the most frequent first. Counted once per inventory, which many virtual machines share. */
const unscannedReasons = memoize(countUnscanned);

function countUnscanned({ packages }: JudgedInventory): readonly StateReason[] {
  const counts = new Map<keyof typeof UNSCANNED, number>();
  for (const { package: pkg, unscanned } of packages) {
    // rpm keeps the keys that packages are signed with as if they were packages.
    // An unsupported system is said once, for the whole guest.
    if (unscanned !== null && unscanned.code !== "os_unsupported" && pkg.name !== "gpg-pubkey")
      counts.set(unscanned.code, (counts.get(unscanned.code) ?? 0) + 1);
  }
  return [...counts].toSorted(([, a], [, b]) => b - a).map(([code, count]) => ({ ...UNSCANNED[code](count, packages.length), count }));
}

const UNSCANNED: Readonly<
  Record<Exclude<UnscannedReason["code"], "os_unsupported">, (count: number, total: number) => Omit<StateReason, "count">>
> = {
  repository_unknown: (count, total) => ({
    code: "no_repository_known",
    detail: `No repository is known for ${count} of ${total} packages: neither dnf's history nor a content manifest has them.`,
    action: "Register the guest and run one dnf transaction, so that dnf records where its packages come from.",
  }),
  repository_system: (count, total) => ({
    code: "repository_system",
    detail: `dnf says that ${count} of ${total} packages came from @System or @commandline, which name no repository.`,
    action: "Reinstall them from their repository with dnf reinstall.",
  }),
  repository_unmapped: (count, total) => ({
    code: "repository_unmapped",
    detail: `${count} of ${total} packages came from repositories that the repository map does not have.`,
    action: "Import a newer repository-to-cpe.json; repositories of your own have no entry there.",
  }),
  third_party: (count, total) => ({
    code: "third_party",
    detail: `${count} of ${total} packages came from repositories that Red Hat's vulnerability data does not cover.`,
    action: "Follow the security notices of those repositories' publishers.",
  }),
};

function fromAgent({ code, detail, path }: ScanReason): StateReason {
  const where = path === "" || detail.includes(path) ? "" : ` (${path})`;
  return { code, detail: `${detail}${where}`, action: ACTIONS[code] ?? "", count: 0 };
}

/** What to do about what agents report; a newer agent's reasons speak for themselves. */
const ACTIONS: Readonly<Record<string, string>> = {
  no_database: "Check --host-path of the agent: below it is no rpm database.",
  unreadable_database: "Run rpm --rebuilddb in the guest, or check the file's permissions; then scan again.",
  damaged_database: "Run rpm --rebuilddb in the guest, then scan again.",
  unreadable_history:
    "The repositories of packages are guessed without it; run dnf history list in the guest to see whether dnf can read it.",
  unreadable_file: "Run the agent as root, or let its user read the file; then scan again.",
  no_packages: "Check --host-path of the agent: the rpm database there is empty.",
  repository_map_unavailable: "Central's own repository map is used; check --repo-cpe-url of the agent.",
  too_large: "Raise ROX_VIRTUAL_MACHINES_VSOCK_CONN_MAX_SIZE_KB.",
  malformed: "Update the agent, and see its log: what it sent is no report.",
  truncated: "See the agent's log: it was ended while it sent.",
  unsupported: "Update Central: the report is newer than what it reads.",
  cid_mismatch: "Restart the agent: it reports another CID than its virtual machine has.",
  digest_mismatch: "Scan again: the report was changed on its way.",
};
