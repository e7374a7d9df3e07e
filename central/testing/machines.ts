import { VirtualMachine_State } from "@guestscan/proto/gen/guestscan/central/v1/central_pb";
import { realReport } from "./reports.ts";
import { connectSensor, type TestCentral } from "./start-central.ts";

/** One of each kind: findings of many severities, a CID above 2^31-1, an operating system that does not say which it is, an agent that never ran. */
const MACHINES = [
  { id: "samba", namespace: "shop", state: VirtualMachine_State.RUNNING, root: "rhel9-dnf-real", cid: 101 },
  { id: "ledger", namespace: "payments", state: VirtualMachine_State.RUNNING, root: "ubi8-bdb-dnf4", cid: 4_000_000_000 },
  { id: "web", namespace: "shop", state: VirtualMachine_State.RUNNING, root: "ubi9-nodejs18-dnf4", cid: 103 },
  { id: "kiosk", namespace: "legacy", state: VirtualMachine_State.RUNNING, root: "sc-ndb", cid: 104 },
  { id: "idle", namespace: "shop", state: VirtualMachine_State.STOPPED, root: null, cid: 0 },
] as const;

/** Names the machines as the cluster's Sensor, and reports what the real agent says of their roots. */
export async function reportMachines(central: TestCentral, clusterId: string): Promise<void> {
  const sensor = connectSensor(central.transport(await central.certificate({ kind: "sensor", clusterId })));
  sensor.send({ case: "hello", value: {} });
  await sensor.receive();
  for (const { id, namespace, state, root, cid } of MACHINES) {
    sensor.send({
      case: "virtualMachine",
      value: {
        id,
        name: `${id}-vm`,
        namespace,
        state,
        nodeName: "node-1",
        cid,
        facts: id === "ledger" ? { guestOS: "RHEL 8" } : {},
        labels: { tier: id },
      },
    });
    if (root === null) continue;
    sensor.send({ case: "report", value: { virtualMachineId: id, cid: 0, report: realReport(root) } });
    await sensor.receive();
  }
  await sensor.close();
}
