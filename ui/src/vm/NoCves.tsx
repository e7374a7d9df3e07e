import type { ScanState_State, VMDetail } from "@guestscan/proto/gen/client";
import { Bullseye, EmptyState, EmptyStateBody, type EmptyStateProps, Spinner } from "@patternfly/react-core";
import { DisconnectedIcon } from "@patternfly/react-icons/dist/esm/icons/disconnected-icon";
import { useQuery } from "@tanstack/react-query";
import { countOf } from "../domain/format.ts";
import { scanStateOf } from "../domain/scan-state.tsx";
import { exactly } from "../list/search-text.ts";
import { central } from "../queries.ts";
import { LoadError } from "../shell/LoadError.tsx";

/** Why a virtual machine has no CVEs: only one of the reasons is good news. */
export function NoCves({ vm }: { readonly vm: VMDetail }) {
  const state = scanStateOf(vm.scanState);
  const { data, error, refetch } = useQuery({
    queryKey: ["vm", vm.id, "scanned"],
    queryFn: ({ signal }) => central.listVMs({ query: { query: `Virtual Machine ID:${exactly(vm.id)}` } }, signal),
  });
  if (error !== null) return <LoadError title="Unable to fetch virtual machine data" error={error} retry={() => void refetch()} />;
  if (data === undefined) return <Spinner aria-label="Loading" />;
  const { scanned, total } = data.vms[0]?.componentScanCount ?? { scanned: 0, total: 0 };
  const { body, ...look } = stateOf(state, scanned, total);
  return (
    <Bullseye>
      <EmptyState headingLevel="h2" {...look}>
        <EmptyStateBody>{body}</EmptyStateBody>
      </EmptyState>
    </Bullseye>
  );
}

interface Look {
  readonly titleText: string;
  readonly body: string;
  readonly status?: NonNullable<EmptyStateProps["status"]>;
  readonly icon?: NonNullable<EmptyStateProps["icon"]>;
}

function stateOf(state: ScanState_State, scanned: number, total: number): Look {
  switch (state) {
    case "STATE_NEVER_REPORTED":
    case "STATE_UNSPECIFIED":
      return {
        titleText: "The agent has never reported",
        body: "Nothing is known of the packages of this virtual machine.",
        icon: DisconnectedIcon,
      };
    case "STATE_FAILED":
      return { titleText: "The scan failed", body: "Nothing is known of the packages of this virtual machine.", status: "danger" };
    case "STATE_REFUSED":
      return {
        titleText: "The report was refused",
        body: "The newest report of this virtual machine could not be used.",
        status: "danger",
      };
    case "STATE_UNSUPPORTED":
      return {
        titleText: "The operating system is not supported",
        body: "The vulnerability data does not speak of this operating system: its packages were listed, not judged.",
        status: "warning",
      };
    case "STATE_OK":
      return {
        titleText: "No CVEs were detected for this virtual machine",
        body: `${scanned.toLocaleString("en")} of ${countOf(total, "package")} were scanned${scanned === total ? "" : "; the tab Packages says why the others were not"}.`,
        status: "success",
      };
    case "STATE_PARTIAL":
      if (scanned === 0)
        return {
          titleText: "None of the packages could be judged",
          body: `There are ${countOf(total, "package")}; the tab Packages says why.`,
          status: "warning",
        };
      return {
        titleText: "No CVEs were detected in what could be scanned",
        body: `${total - scanned} of ${countOf(total, "package")} could not be judged; the tab Packages says which, and why.`,
        status: "info",
      };
    default:
      return state satisfies never;
  }
}
