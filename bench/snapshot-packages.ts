/** What an advisory shipped: a source build, or a module build whose packages only OSV lists. */
export type Shipped =
  | { readonly kind: "source"; readonly name: string; readonly evr: string }
  | { readonly kind: "module"; readonly module: ModuleBuild }
  | { readonly kind: "unversioned" };

/** `name:stream` and the build of it. */
export type ModuleBuild = { readonly name: string; readonly stream: string; readonly version: string; readonly context: string };

/** An rpm as the legacy feed has it in its product tree. */
export type Component = { readonly id: string; readonly purl: string };

/** Reads "openssl-1:3.0.7-25.el9_3" or "nodejs:18-9020020230327152102.rhel9". */
export function parseShipped(text: string): Shipped {
  const source = /^([^:/]+)-(\d+:[^-]+-[^-]+)$/.exec(text);
  if (source?.[1] !== undefined && source[2] !== undefined) return { kind: "source", name: source[1], evr: source[2] };
  const [, name, stream, version, context] = /^([^:/]+):(.+)-(\d{10,})\.([0-9a-z]+)$/.exec(text) ?? [];
  if (name === undefined || stream === undefined || version === undefined || context === undefined) return { kind: "unversioned" };
  return { kind: "module", module: { name, stream, version, context } };
}

/** A fixed package. OSV names no architecture, so a binary has none, which means all; evr is EPOCH:VERSION-RELEASE. */
export function fixedComponent(name: string, evr: string, arch: "src" | undefined, module: ModuleBuild | undefined): Component {
  const [epoch = "0", version = ""] = evr.split(/:(.*)/);
  const qualifiers = [
    arch === undefined ? undefined : `arch=${arch}`,
    epoch === "0" ? undefined : `epoch=${epoch}`,
    module === undefined ? undefined : `rpmmod=${module.name}:${module.stream}:${module.version}:${module.context}`,
  ].filter((qualifier) => qualifier !== undefined);
  const suffix = `${arch === undefined ? "" : `.${arch}`}${module === undefined ? "" : `::${module.name}:${module.stream}`}`;
  const purl = `${purlOf(name)}@${encodeURIComponent(version)}`;
  return { id: `${name}-${evr}${suffix}`, purl: qualifiers.length === 0 ? purl : `${purl}?${qualifiers.join("&")}` };
}

/** An unfixed source of package_state: "openssl" or "nodejs:18/nodejs". Undefined for what is no rpm: a container image or a library. */
export function unfixedComponent(packageName: string): Component | undefined {
  const [, module, name = ""] = /^(?:([^:/]+:[^:/]+)\/)?([^:/]+)$/.exec(packageName) ?? [];
  if (name === "" || name.endsWith("-container")) return undefined;
  return { id: `${packageName}.src`, purl: `${purlOf(name)}?arch=src${module === undefined ? "" : `&rpmmod=${module}`}` };
}

/** The minor release that a build was made for, as its release says: 2 of "5.14.0-284.30.1.el9_2", 10 of "1-1.module+el8.10.0+22237+51382d7a". */
export function minorOf(evr: string): number | undefined {
  const minor = /\.module\+el\d+\.(\d+)|\.el\d+_(\d+)/.exec(evr);
  return minor === null ? undefined : Number(minor[1] ?? minor[2]);
}

/** True for a package of a module: its build system marks the release. */
export function isModular(evr: string): boolean {
  return evr.includes(".module+el");
}

function purlOf(name: string): string {
  return `pkg:rpm/redhat/${encodeURIComponent(name)}`;
}
