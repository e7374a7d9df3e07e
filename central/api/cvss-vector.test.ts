import {
  CVSSV3_AttackVector,
  CVSSV3_Complexity,
  CVSSV3_Impact,
  CVSSV3_Privileges,
  CVSSV3_Scope,
  CVSSV3_Severity,
  CVSSV3_UserInteraction,
} from "@guestscan/proto/gen/v2/virtual_machine_service_pb";
import { expect, test } from "vitest";
import { parseCvssV3 } from "./cvss-vector.ts";

test("a score of another version has no such metrics", () => {
  expect(parseCvssV3({ version: "2.0", vector: "AV:N/AC:L/Au:N/C:P/I:P/A:P", score: 7.5 })).toBeNull();
  expect(parseCvssV3({ version: "4.0", vector: "CVSS:4.0/AV:N", score: 7.5 })).toBeNull();
});

// Sub-scores as NVD's calculator shows them.
test.each([
  ["CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 3.9, 5.9],
  ["CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", 3.9, 3.6],
  ["CVSS:3.1/AV:N/AC:L/PR:L/UI:R/S:C/C:L/I:L/A:N", 2.3, 2.7],
  ["CVSS:3.0/AV:L/AC:H/PR:H/UI:N/S:U/C:H/I:N/A:N", 0.5, 3.6],
  ["CVSS:3.1/AV:P/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0.9, 0],
])("%s: exploitability %d, impact %d", (vector, exploitabilityScore, impactScore) => {
  expect(parseCvssV3({ version: "3.1", vector, score: 5 })).toMatchObject({ exploitabilityScore, impactScore });
});

test("metrics by name", () => {
  expect(parseCvssV3({ version: "3.1", vector: "CVSS:3.1/AV:A/AC:H/PR:L/UI:R/S:C/C:H/I:L/A:N", score: 6.7 })).toStrictEqual({
    vector: "CVSS:3.1/AV:A/AC:H/PR:L/UI:R/S:C/C:H/I:L/A:N",
    exploitabilityScore: 0.9,
    impactScore: 4.7,
    attackVector: CVSSV3_AttackVector.ATTACK_ADJACENT,
    attackComplexity: CVSSV3_Complexity.HIGH,
    privilegesRequired: CVSSV3_Privileges.PRIVILEGE_LOW,
    userInteraction: CVSSV3_UserInteraction.UI_REQUIRED,
    scope: CVSSV3_Scope.CHANGED,
    confidentiality: CVSSV3_Impact.HIGH,
    integrity: CVSSV3_Impact.LOW,
    availability: CVSSV3_Impact.NONE,
    score: 6.7,
    severity: CVSSV3_Severity.MEDIUM,
  });
});
