import type { StatusFrame } from "@guestscan/proto/gen/guestscan/report/v1/report_pb";
import { type Address, formatAddress } from "../address.ts";
import type { Connect } from "../connect.ts";
import { decodeFrame, exchange } from "../deliver.ts";
import { DeliveryError } from "../delivery-error.ts";
import { type Finding, ok, problem } from "./check.ts";

/** Upstream's agent's port and upstream's relay's: where they differ is the commonest mistake. */
const USUAL_PORTS = [1024, 818] as const;

export interface RelayRoute {
  readonly addresses: readonly Address[];
  readonly connect: Connect;
  readonly timeoutMs: number;
}

/** First contact: connects, says nothing, half-closes, and reads what the relay offers. Nothing is reported by it. */
export async function checkRelay({ addresses, connect, timeoutMs }: RelayRoute): Promise<Finding> {
  const failures: string[] = [];
  for (const address of addresses) {
    const finding = await contact(address, connect, timeoutMs);
    if (typeof finding !== "string") return finding;
    failures.push(finding);
  }
  const detail = failures.join("; ");
  for (const address of otherPorts(addresses)) {
    const finding = await contact(address, connect, timeoutMs);
    if (typeof finding !== "string")
      return problem("no_relay", `${detail}; but somebody listens on port ${address.port}`, `use --port=${address.port}, or none`);
  }
  return problem(
    "no_relay",
    detail,
    "check that the relay runs on this machine's node, that it listens on this port (ROX_VIRTUAL_MACHINES_VSOCK_PORT), and that ROX_VIRTUAL_MACHINES=true is set there",
  );
}

/** Why nobody was reached, or what was found. */
async function contact(address: Address, connect: Connect, timeoutMs: number): Promise<Finding | string> {
  const name = formatAddress(address);
  try {
    const answer = await exchange(connect, address, new Uint8Array(0), timeoutMs);
    if (answer.length === 0)
      return ok(`${name} takes connections and answers nothing, as upstream's relay does: no report is acknowledged`);
    return ok(`${name}: ${describeOffers(decodeFrame(answer))}`);
  } catch (error) {
    if (!(error instanceof DeliveryError)) throw error;
    if (error.code === "no_vsock") return problem("no_relay", error.message, "see what is said of vsock");
    if (error.code === "nobody_listens") return error.message;
    return problem("relay_answer", error.message, "check what listens there, and the relay's log");
  }
}

function describeOffers({ offers }: StatusFrame): string {
  if (offers === undefined) return "a relay that says nothing of itself";
  const version = offers.relayVersion === "" ? "a relay" : `relay ${offers.relayVersion}`;
  return offers.maxReportBytes === 0n ? version : `${version} takes reports of up to ${offers.maxReportBytes} bytes`;
}

function otherPorts(addresses: readonly Address[]): readonly (Address & { readonly kind: "vsock" })[] {
  const [first] = addresses;
  if (first?.kind !== "vsock") return [];
  const tried = new Set(addresses.map((address) => (address.kind === "vsock" ? address.port : 0)));
  return USUAL_PORTS.filter((port) => !tried.has(port)).map((port) => ({ kind: "vsock", cid: first.cid, port }));
}
