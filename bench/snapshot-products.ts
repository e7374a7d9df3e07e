/** A product that packages ship in. `cpe` is a CPE 2.2 URI. */
export type Product = { readonly id: string; readonly name: string; readonly family: string; readonly cpe: string };

/** True for RHEL 7 to 10 in every channel (main, EUS, AUS, TUS, E4S, ELS) and the software collections of RHEL 7.
 *  The add-ons for virtualization hosts, fast datapath, NFV and real time are left out: no guest of the demo has them.
 *  `product` is a CPE without its part and vendor: "rhel_eus:9.2::baseos". */
export function isKeptProduct(product: string): boolean {
  return KEPT.test(product) && !LAYERED.test(product);
}

const KEPT = /^((enterprise_linux|rhel_(eus|aus|tus|e4s|els|eus_long_life)):([789]|10)([.:]|$)|rhel_software_collections:\d(::el7|$))/;
const LAYERED = /::(hypervisor|fastdatapath|nfv|realtime)$/;

/** "rhel_eus:9.2::baseos" of "cpe:/o:redhat:rhel_eus:9.2::baseos"; undefined for another vendor. */
export function productOfCpe(cpe: string): string | undefined {
  return /^cpe:\/[ao]?:redhat:(.+)$/.exec(cpe)?.[1];
}

/** True if a release for `released` ("enterprise_linux:9", which names no repository) went into `product` ("enterprise_linux:9::baseos"). */
export function shipsIn(released: string, product: string): boolean {
  return product === released || (!released.includes("::") && product.startsWith(`${released}::`));
}

/** The product as the legacy feed has it in its product tree. `released` is the CPE database's own name ("Red Hat Enterprise Linux 9"),
 *  `minor` the minor release that the fix was built for, where a build of the advisory tells it. */
export function shippedProduct(product: string, released: string, minor: number | undefined): Product {
  const [channel = "", version = "", , repository = ""] = product.split(":");
  const name = repository === "" ? released : `${released} (${repository})`;
  return {
    id: shippedId(channel, version, repository, minor),
    name,
    family: "Red Hat Enterprise Linux",
    cpe: cpeOf(channel, version, product),
  };
}

/** A product whose packages are not fixed: the legacy feed names the major release only, and derives the id from the name. */
export function unfixedProduct(name: string, cpe: string): Product {
  return { id: name.toLowerCase().replaceAll(" ", "_"), name, family: name, cpe };
}

function shippedId(channel: string, version: string, repository: string, minor: number | undefined): string {
  const major = Number.parseInt(version, 10);
  const prefix = REPOSITORIES[repository];
  if (channel === "rhel_els" && major === 7) return "7Server-ELS";
  if (prefix !== undefined && major === 7 && channel === "enterprise_linux" && minor !== undefined) return `${prefix}-7.${minor}.Z`;
  if (prefix !== undefined && major === 7 && channel !== "enterprise_linux") return `${prefix}-${version}.${CHANNELS[channel]}`;
  if (prefix !== undefined && major >= 8 && channel === "enterprise_linux" && minor !== undefined) {
    return `${prefix}-${major}.${minor}.0.Z.${hasExtendedSupport(major, minor) ? "MAIN.EUS" : "MAIN"}`;
  }
  if (prefix !== undefined && major >= 8 && channel !== "enterprise_linux") return `${prefix}-${version}.0.Z.${CHANNELS[channel]}`;
  return [channel, version, repository].filter((part) => part !== "").join("-");
}

const REPOSITORIES: Readonly<Record<string, string>> = {
  appstream: "AppStream",
  baseos: "BaseOS",
  crb: "CRB",
  highavailability: "HighAvailability",
  resilientstorage: "ResilientStorage",
  client: "7Client",
  computenode: "7ComputeNode",
  server: "7Server",
  workstation: "7Workstation",
};

const CHANNELS: Readonly<Record<string, string>> = {
  rhel_eus: "EUS",
  rhel_aus: "AUS",
  rhel_tus: "TUS",
  rhel_e4s: "E4S",
  rhel_eus_long_life: "EUS.EXTENSION",
};

/** https://access.redhat.com/support/policy/updates/errata: 8.1 and the even minors of RHEL 8 up to 8.10, the even minors of RHEL 9. */
function hasExtendedSupport(major: number, minor: number): boolean {
  return minor % 2 === 0 || (major === 8 && minor === 1);
}

/** Until RHEL 7 the whole system is an operating system to CPE; since RHEL 8 only BaseOS is, the other repositories are applications. */
function cpeOf(channel: string, version: string, product: string): string {
  const isSystem = channel !== "rhel_software_collections" && (Number.parseInt(version, 10) <= 7 || product.endsWith("::baseos"));
  return `cpe:/${isSystem ? "o" : "a"}:redhat:${product}`;
}
