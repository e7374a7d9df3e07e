import { describe, expect, test } from "vitest";
import { SensorError } from "./sensor-error.ts";
import { parseVirtualMachines } from "./virtual-machine.ts";

const GOOD = { id: "a", name: "web", namespace: "default", cid: 42, node: "node-1", state: "RUNNING" };

describe("refuses", () => {
  test.each([
    ["an object", "{}", "it is no JSON array"],
    ["an entry that is none", "[null]", "entry 0 is no object"],
    ["a missing name", JSON.stringify([{ ...GOOD, name: undefined }]), "entry 0: name is missing, not a text"],
    ["an empty id", JSON.stringify([{ ...GOOD, id: "" }]), 'entry 0: id is "", not a text'],
    [
      "a CID over uint32",
      JSON.stringify([{ ...GOOD, cid: 4_294_967_296 }]),
      "entry 0: cid is 4294967296, not a whole number from 0 to 4294967295",
    ],
    ["a CID with a fraction", JSON.stringify([{ ...GOOD, cid: 4.5 }]), "entry 0: cid is 4.5, not a whole number from 0 to 4294967295"],
    [
      "a state in small letters",
      JSON.stringify([{ ...GOOD, state: "running" }]),
      'entry 0: state is "running", not "RUNNING" or "STOPPED"',
    ],
    ["facts that are no texts", JSON.stringify([{ ...GOOD, facts: { cpus: 4 } }]), 'entry 0: facts is {"cpus":4}, not an object of texts'],
    ["an id twice", JSON.stringify([GOOD, { ...GOOD, cid: 43 }]), "two entries have id a"],
    ["a CID twice on a node", JSON.stringify([GOOD, { ...GOOD, id: "b" }]), "two entries have CID 42 on node node-1"],
  ])("%s", (_name, text, message) => {
    expect(() => parseVirtualMachines(text)).toThrow(new SensorError("bad_file", message));
  });

  test("what is no JSON", () => {
    expect(() => parseVirtualMachines("[{")).toThrow(/^it is no JSON: /);
  });
});

test("accepts the same CID on two nodes, machines without one, and what it does not know", () => {
  const machines = [GOOD, { ...GOOD, id: "b", node: "node-2" }, { ...GOOD, id: "c", cid: 0 }, { ...GOOD, id: "d", cid: 0, more: 1 }];
  const rest = { facts: {}, labels: {}, annotations: {} };
  expect(parseVirtualMachines(JSON.stringify(machines))).toStrictEqual(
    [GOOD, { ...GOOD, id: "b", node: "node-2" }, { ...GOOD, id: "c", cid: 0 }, { ...GOOD, id: "d", cid: 0 }].map((machine) => ({
      ...machine,
      ...rest,
    })),
  );
});
