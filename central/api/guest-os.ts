import type { FleetVm } from "../fleet/fleet.ts";

/** By the guest agent's word in the cluster, else by the report's; "" where neither says. */
export function guestOsOf(vm: FleetVm): string {
  const fact = vm.facts["guestOS"] ?? "";
  return fact === "" ? scannedOsOf(vm) : fact;
}

/** By the report's word. */
export function scannedOsOf({ inventory }: FleetVm): string {
  if (inventory === null) return "";
  const { prettyName, detected, version } = inventory.os;
  if (prettyName !== "") return prettyName;
  return detected === "rhel" ? `Red Hat Enterprise Linux ${version}`.trim() : version;
}
