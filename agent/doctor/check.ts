import type { Cause } from "./cause.ts";

/** What one check found. */
export type Finding =
  | { readonly state: "ok" | "skipped"; readonly detail: string }
  | {
      readonly state: "problem";
      readonly cause: Cause;
      /** What is the case, with values and paths. */
      readonly detail: string;
      /** What to do about it. */
      readonly fix: string;
    };

/** A finding and what it is about. */
export type Check = Finding & { readonly name: CheckName };

/** In the order in which they are printed. */
export const CHECK_NAMES = [
  "user",
  "host path",
  "readable",
  "databases",
  "vsock modules",
  "vsock device",
  "cid",
  "relay",
  "operating system",
  "subscription",
  "repositories",
  "repository map",
  "disk",
  "clock",
] as const;

export type CheckName = (typeof CHECK_NAMES)[number];

export function ok(detail: string): Finding {
  return { state: "ok", detail };
}

export function skipped(detail: string): Finding {
  return { state: "skipped", detail };
}

export function problem(cause: Cause, detail: string, fix: string): Finding {
  return { state: "problem", cause, detail, fix };
}
