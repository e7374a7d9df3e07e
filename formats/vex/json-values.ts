import { FormatError } from "../format-error.ts";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

export function isRecord(value: Json | undefined): value is { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Throws FormatError "malformed" when it is something else. */
export function record(value: Json | undefined, what: string): Readonly<Record<string, Json>> {
  if (!isRecord(value)) throw new FormatError("malformed", `${what} is missing or not an object`);
  return value;
}

/** An empty record when it is something else: for what a reader can do without. */
export function optionalRecord(value: Json | undefined): Readonly<Record<string, Json>> {
  return isRecord(value) ? value : {};
}

export function array(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? (value as readonly Json[]) : [];
}

export function text(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}
