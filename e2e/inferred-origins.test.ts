import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { encodeReport } from "@guestscan/agent/report";
import { scanHost } from "@guestscan/agent/scan";
import { parseRepositoryMap } from "@guestscan/formats/cpe/repository-map";
import { decodeReport } from "@guestscan/formats/report/decode-report";
import { scopeOf, unscannedReason } from "@guestscan/matcher/scope";
import { expect, test } from "vitest";
import { unpackRoot } from "./unpack-roots.ts";

test("a RHEL image without any history is judged in BaseOS and AppStream, and says that this is inferred", async () => {
  const scan = await scanHost({ hostPath: unpackRoot("gr-ubi8-s390x-bdb"), vsockCid: "42", agentVersion: "1" });
  const inventory = decodeReport(encodeReport(scan, { agentVersion: "1", bootId: "boot", sequence: 1n }).bytes);
  const map = parseRepositoryMap(gunzipSync(readFileSync(join(import.meta.dirname, "testdata/feeds/repository-to-cpe.json.gz"))));
  const scopes = inventory.packages.map((pkg) => ({ pkg, scope: scopeOf(inventory, pkg, map) }));
  const expected = {
    osVersion: "8.6",
    repositories: [
      { repoid: "rhel-8-for-s390x-baseos-rpms", cpes: ["cpe:2.3:o:redhat:enterprise_linux:8:*:baseos:*:*:*:*:*"] },
      { repoid: "rhel-8-for-s390x-appstream-rpms", cpes: ["cpe:2.3:a:redhat:enterprise_linux:8:*:appstream:*:*:*:*:*"] },
    ],
  };
  expect(new Set(scopes.map(({ scope }) => JSON.stringify(scope)))).toStrictEqual(new Set([JSON.stringify(expected)]));
  expect(new Set(inventory.packages.map(({ repoidSource }) => repoidSource))).toStrictEqual(new Set(["inferred"]));
  expect(scopes.filter(({ pkg, scope }) => unscannedReason(inventory, pkg, scope) !== null)).toStrictEqual([]);
});
