import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize, sep } from "node:path";

/** Top-level folders, in the order in which a report flows through them. */
export type Workspace = keyof typeof MAY_IMPORT;

/** What a workspace may import beside itself (DESIGN 2, ARCHITECTURE.md "Import rules"), and why no more. */
const MAY_IMPORT = {
  proto: { from: [], why: "the contracts stand for themselves" },
  formats: { from: [], why: "what the world defines knows nothing of this product" },
  vsock: { from: [], why: "native code stays small and alone" },
  agent: { from: ["proto", "formats", "vsock"], why: "the agent is one small executable in the guest" },
  relay: { from: ["proto", "formats", "vsock"], why: "the parts meet on the wire only" },
  sensor: { from: ["proto", "formats", "vsock"], why: "the parts meet on the wire only" },
  matcher: { from: ["formats"], why: "matching is pure: packages and advisories in, findings out" },
  central: { from: ["proto", "formats", "vsock", "matcher"], why: "the parts meet on the wire only" },
  ui: { from: ["proto/gen/client"], why: "the page is a thin client of the API" },
  cli: { from: ["proto", "formats", "matcher", "agent/scan"], why: "`up` starts the other parts as the built executables" },
  deploy: { from: [], why: "packaging takes files, not modules" },
  e2e: { from: null, why: "" },
  bench: { from: null, why: "" },
} as const satisfies Record<string, { from: readonly string[] | null; why: string }>;

/** What grows vulnerability data must not share code with what is tested on it. */
const INDEPENDENT = /^bench\/(?:grow-snapshot|snapshot-)/;

export interface Breach {
  readonly file: string;
  readonly imports: string;
  readonly reason: string;
}

/** Every import in the tree that the rules forbid. Tests may import e2e/ (the unpacked databases) and their own workspace's rules otherwise. */
export function findBreaches(root: string): readonly Breach[] {
  return sourceFiles(root).flatMap((file) => importsOf(root, file).flatMap((target) => breach(file, target)));
}

function sourceFiles(root: string): readonly string[] {
  return globSync("{proto,formats,vsock,agent,relay,sensor,matcher,central,ui,cli,deploy,e2e,bench}/**/*.{ts,tsx}", {
    cwd: root,
    exclude: (path) => path.includes("node_modules") || path.startsWith("proto/gen"),
  }).map((path) => path.split(sep).join("/"));
}

/** Import targets that lie in this repository, as paths from its root without extension. */
function importsOf(root: string, file: string): readonly string[] {
  const text = readFileSync(join(root, file), "utf8");
  return [...text.matchAll(/(?:\bfrom\s*|\bimport\s*\(?\s*)["']([^"'\n]+)["']/g)].flatMap(([, specifier]) => {
    if (specifier === undefined) return [];
    if (specifier.startsWith("@guestscan/")) return [specifier.slice("@guestscan/".length)];
    if (!specifier.startsWith(".")) return [];
    return [normalize(join(dirname(file), specifier)).replace(/\.(ts|tsx|js)$/, "")];
  });
}

function breach(file: string, target: string): readonly Breach[] {
  const [from, to] = [workspaceOf(file), workspaceOf(target)];
  if (from === undefined || to === undefined) return [];
  const broken = (reason: string): readonly Breach[] => [{ file, imports: target, reason }];
  if (INDEPENDENT.test(file) && (to === "matcher" || to === "formats"))
    return broken("the truth of the corpus must not come from the code under test");
  if (from === to) return [];
  if (to === "bench") return broken("nothing imports bench");
  if (to === "e2e") return from === "bench" || isTest(file) ? [] : broken("nothing imports e2e");
  const { from: allowed, why } = MAY_IMPORT[from];
  if (allowed === null || allowed.some((prefix) => target === prefix || target.startsWith(`${prefix}/`))) return [];
  return broken(`${from} may import ${allowed.length === 0 ? "nothing" : allowed.join(", ")}: ${why}`);
}

function isTest(file: string): boolean {
  return /\.test\.tsx?$/.test(file);
}

function workspaceOf(path: string): Workspace | undefined {
  const name = path.split("/")[0] ?? "";
  return Object.hasOwn(MAY_IMPORT, name) ? (name as Workspace) : undefined;
}
