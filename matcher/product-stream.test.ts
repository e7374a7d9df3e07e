import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readDocuments } from "@guestscan/formats/vex/document-files";
import { beforeAll, expect, test } from "vitest";
import { type ProductStream, parseProductStream } from "./product-stream.ts";

test.each([
  "",
  "red_hat_products",
  "red_hat_enterprise_linux_ai_(rhel_ai)_3",
  "red_hat_enterprise_linux_9x",
  "rhel-",
  "rhel-nine",
  "rhel-9.8:baseos",
  "BaseOS-",
  "BaseOS-9.2.0.Z.MAIN.EUS-extra",
  "Openshift-4.12.0.Z",
  "8Base-Openshift-Serverless-1",
  "7Server-JBCS",
  "7Server-RHSCL-3.8",
  "7Server-CNV-4.12",
  "7Server-8.9.Z",
  "service_telemetry_framework_1.4_for_rhel_8",
])("no stream of RHEL: %j", (productId) => {
  expect(parseProductStream(productId)).toBeNull();
});

test.each<readonly [string, number, number | null, ProductStream["channel"], string]>([
  ["rhel-9.8::baseos", 9, 8, "main", "baseos"],
  ["rhel-9.3.0.z::appstream", 9, 3, "main", "appstream"],
  ["rhel-8.10.z", 8, 10, "main", ""],
  ["rhel-br-9.8::baseos", 9, 8, "main", "baseos"],
  ["rhel-8", 8, null, "main", ""],
  ["rhel-10.0", 10, 0, "main", ""],
  ["rhel-9.4.z.eus", 9, 4, "extended", ""],
  ["rhel-8.2.0.z.aus", 8, 2, "extended", ""],
  ["rhel-8.6.0.z.tus::appstream", 8, 6, "extended", "appstream"],
  ["rhel-8.6.z.e6s", 8, 6, "extended", ""],
  ["rhel-7-els.els", 7, null, "extended", ""],
  ["rhel-5-els::server", 5, null, "extended", "server"],
  ["rhel-7.7.z.els", 7, 7, "extended", ""],
  ["rhel-4.5::as", 4, 5, "main", "as"],
  ["red_hat_enterprise_linux_9", 9, null, "main", ""],
  ["red_hat_enterprise_linux_10", 10, null, "main", ""],
  ["BaseOS-9.2.0.Z.MAIN.EUS", 9, 2, "main", "baseos"],
  ["BaseOS-9.3.0.Z.MAIN", 9, 3, "main", "baseos"],
  ["AppStream-9.1.0.GA", 9, 1, "main", "appstream"],
  ["AppStream-8.10.0.Z.MAIN.EUS", 8, 10, "main", "appstream"],
  ["AppStream-10", 10, null, "main", "appstream"],
  ["AppStream-10.0.Z", 10, 0, "main", "appstream"],
  ["AppStream-10.0.Z.E2S", 10, 0, "extended", "appstream"],
  ["CRB-8.6.0.Z.EUS", 8, 6, "extended", "crb"],
  ["AppStream-8.4.0.Z.EUS.EXTENSION", 8, 4, "extended", "appstream"],
  ["ResilientStorage-9.0.0.Z.EUS", 9, 0, "extended", "resilientstorage"],
  ["7Server-7.9.Z", 7, 9, "main", "server"],
  ["7Client-optional-7.9.Z", 7, 9, "main", "client"],
  ["7Server-7.6.AUS", 7, 6, "extended", "server"],
  ["7Server-ELS", 7, null, "extended", "server"],
])("%s", (productId, major, minor, channel, repository) => {
  expect(parseProductStream(productId)).toStrictEqual({ major, minor, channel, repository });
});

/** Product ids and their CPEs in the real documents at hand. */
const products = new Map<string, string>();

beforeAll(async () => {
  const testdata = join(import.meta.dirname, "../e2e/testdata");
  const names = ["vex/ga", "vex/legacy"].flatMap((folder) => readdirSync(join(testdata, folder)).map((name) => join(folder, name)));
  const open = async function* (file: string): AsyncGenerator<Uint8Array> {
    yield readFileSync(join(testdata, file));
  };
  for await (const document of readDocuments({ files: [...names, "match/vex-documents.tar.zst"], open })) {
    if ("bytes" in document) collectProducts(JSON.parse(document.bytes.toString()) as { readonly product_tree?: Branch });
  }
});

interface Branch {
  readonly branches?: readonly Branch[];
  readonly product?: { readonly product_id: string; readonly product_identification_helper?: { readonly cpe?: string } };
}

function collectProducts(document: { readonly product_tree?: Branch }): void {
  const pending: Branch[] = [document.product_tree ?? {}];
  for (let branch = pending.pop(); branch !== undefined; branch = pending.pop()) {
    const cpe = branch.product?.product_identification_helper?.cpe;
    if (branch.product !== undefined && cpe !== undefined) products.set(branch.product.product_id, cpe);
    pending.push(...(branch.branches ?? []));
  }
}

test("of the product ids of real documents, those with a CPE of RHEL have a stream, and no others", () => {
  const isOfRhel = (cpe: string): boolean =>
    /^cpe:\/[ao]:redhat:(?:enterprise_linux(?:_eus)?|rhel_(?:aus|e4s|els|eus|eus_long_life|tus)):/.test(cpe);
  const unlike = [...products].filter(([id, cpe]) => (parseProductStream(id) !== null) !== isOfRhel(cpe));
  expect(unlike).toStrictEqual([]);
  expect(products.size).toBe(554);
});

test("of the product ids of real documents, the major release is that of the CPE, and a channel with a name is extended", () => {
  const unlike = [...products].filter(([id, cpe]) => {
    const stream = parseProductStream(id);
    const [, , , product = "", version = ""] = cpe.split(":");
    return (
      stream !== null &&
      (stream.major !== Number.parseInt(version, 10) || (product !== "enterprise_linux") !== (stream.channel === "extended"))
    );
  });
  // Extended channels whose packages came through the repositories of the main stream.
  expect(unlike.sort(([a], [b]) => (a < b ? -1 : 1))).toStrictEqual([
    ["rhel-10.2.z.eus", "cpe:/o:redhat:enterprise_linux:10::appstream"],
    ["rhel-5-els::client", "cpe:/o:redhat:enterprise_linux:5::client"],
    ["rhel-5-els::server", "cpe:/o:redhat:enterprise_linux:5::server"],
  ]);
});
