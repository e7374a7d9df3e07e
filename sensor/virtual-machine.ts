import { SensorError } from "./sensor-error.ts";

/** A virtual machine of this cluster, as its source describes it. */
export interface VirtualMachine {
  /** The Kubernetes UID. */
  readonly id: string;
  readonly name: string;
  readonly namespace: string;
  /** 0 when it has none. */
  readonly cid: number;
  readonly node: string;
  readonly state: "RUNNING" | "STOPPED";
  readonly facts: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

const MAX_CID = 0xff_ff_ff_ff;

/** Reads a JSON array of virtual machines; labels and annotations may be left out. Throws SensorError "bad_file", which names the entry and what is wrong with it. */
export function parseVirtualMachines(text: string): readonly VirtualMachine[] {
  const list = parseJson(text);
  if (!Array.isArray(list)) throw new SensorError("bad_file", "it is no JSON array");
  const machines = list.map((entry: unknown, index) => parseEntry(entry, index));
  refuseTwins(machines, ({ id }) => `id ${id}`);
  refuseTwins(
    machines.filter(({ cid }) => cid !== 0),
    ({ cid, node }) => `CID ${cid} on node ${node}`,
  );
  return machines;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SensorError("bad_file", `it is no JSON: ${cause instanceof Error ? cause.message : ""}`, { cause });
  }
}

function parseEntry(entry: unknown, index: number): VirtualMachine {
  if (typeof entry !== "object" || entry === null || Array.isArray(entry)) throw new SensorError("bad_file", `entry ${index} is no object`);
  const fields = new Map(Object.entries(entry));
  const wrong = (field: string, expected: string): SensorError =>
    new SensorError("bad_file", `entry ${index}: ${field} is ${JSON.stringify(fields.get(field)) ?? "missing"}, not ${expected}`);
  const text = (field: string): string => {
    const value: unknown = fields.get(field);
    if (typeof value === "string" && value !== "") return value;
    throw wrong(field, "a text");
  };
  const texts = (field: string, missing?: Readonly<Record<string, string>>): Readonly<Record<string, string>> => {
    const value: unknown = fields.get(field) ?? missing;
    if (typeof value === "object" && value !== null && Object.values(value).every((item) => typeof item === "string")) {
      return value as Record<string, string>;
    }
    throw wrong(field, "an object of texts");
  };
  const cid: unknown = fields.get("cid");
  if (typeof cid !== "number" || !Number.isInteger(cid) || cid < 0 || cid > MAX_CID)
    throw wrong("cid", `a whole number from 0 to ${MAX_CID}`);
  const state: unknown = fields.get("state");
  if (state !== "RUNNING" && state !== "STOPPED") throw wrong("state", '"RUNNING" or "STOPPED"');
  return {
    id: text("id"),
    name: text("name"),
    namespace: text("namespace"),
    cid,
    node: text("node"),
    state,
    facts: texts("facts", {}),
    labels: texts("labels", {}),
    annotations: texts("annotations", {}),
  };
}

function refuseTwins(machines: readonly VirtualMachine[], nameOf: (machine: VirtualMachine) => string): void {
  const seen = new Set<string>();
  for (const machine of machines) {
    const name = nameOf(machine);
    if (seen.has(name)) throw new SensorError("bad_file", `two entries have ${name}`);
    seen.add(name);
  }
}
