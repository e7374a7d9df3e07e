/** Writes gen/client.ts: a typed client of the REST API, one function per RPC that has a path. Run after `buf generate`, which empties gen/. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  type DescEnum,
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescService,
  getOption,
  ScalarType,
} from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import { http } from "./gen/google/api/annotations_pb.js";
import { ApiTokenService, FeedService, SessionService } from "./gen/guestscan/api/v1/api_pb.js";
import { VirtualMachineService } from "./gen/v2/virtual_machine_service_pb.js";
import type { Endpoint } from "./rest-call.ts";

/** RPCs that share the path of another one and differ in the view that is asked for. */
const BY_VIEW: Readonly<Record<string, Endpoint>> = {
  "v2.VirtualMachineService.GetVMDetail": { method: "GET", path: "/v2/virtualmachines/{id}", views: ["full", "detail"] },
};

if (import.meta.main) {
  const services = [VirtualMachineService, FeedService, SessionService, ApiTokenService];
  writeFileSync(join(import.meta.dirname, "gen/client.ts"), renderClient(services));
}

interface Call {
  readonly method: DescMethod;
  readonly endpoint: Endpoint;
}

/**
 * The module's text. Types are what the gateway prints (WIRE.md section 4): every field is there, unset messages are null, members of a oneof may be
 * missing, 64-bit integers are decimal text, timestamps RFC 3339. In requests every field may be left out.
 * Throws when two types would get the same name, or one message is both asked and answered.
 */
export function renderClient(services: readonly DescService[]): string {
  const calls = services.flatMap((service) => service.methods.flatMap(toCall));
  const requests = reachable(calls.map(({ method }) => method.input));
  const answers = reachable(calls.map(({ method }) => method.output));
  const both = [...requests.messages].find((message) => answers.messages.has(message));
  if (both !== undefined) throw new Error(`${both.typeName} is part of requests and of answers: they are printed differently`);
  const types = [...requests.messages, ...answers.messages, ...requests.enums, ...answers.enums];
  const twice = types.find((type, at) => types.findIndex((other) => typeName(other) === typeName(type)) !== at);
  if (twice !== undefined) throw new Error(`two types are called ${typeName(twice)}, one of them ${twice.typeName}`);
  return [
    "// Written by generate-client.ts from the descriptors and their google.api.http options.",
    'import { callEndpoint, type Endpoint, type Fetch } from "../rest-call.ts";',
    "",
    'export { ApiError } from "../rest-call.ts";',
    "",
    ...[...requests.messages].map((message) => renderMessage(message, renderRequestField)),
    ...[...answers.messages].map((message) => renderMessage(message, renderAnswerField)),
    ...[...requests.enums, ...answers.enums].map(renderEnum),
    "export interface Client {",
    ...calls.map(({ method }) => `  ${method.localName}(${parametersOf(method)}): Promise<${typeName(method.output)}>;`),
    "}",
    "",
    '/** `baseUrl` has no slash at its end; "" is the page\'s own origin. */',
    "export function createClient(fetch: Fetch, baseUrl: string): Client {",
    "  const call = <Answer>(endpoint: Endpoint, request: object, signal?: AbortSignal): Promise<Answer> =>",
    "    callEndpoint(endpoint, request, { fetch, baseUrl, ...(signal === undefined ? {} : { signal }) });",
    "  return {",
    ...calls.map(
      ({ method, endpoint }) => `    ${method.localName}: (request, signal) => call(${JSON.stringify(endpoint)}, request, signal),`,
    ),
    "  };",
    "}",
    "",
  ].join("\n");
}

function toCall(method: DescMethod): readonly Call[] {
  const endpoint = BY_VIEW[`${method.parent.typeName}.${method.name}`] ?? endpointOf(method);
  return endpoint === undefined ? [] : [{ method, endpoint }];
}

/** Undefined without a path. Only what the contracts use is read: get, delete, and post with the whole request as body. */
function endpointOf(method: DescMethod): Endpoint | undefined {
  if (method.proto.options === undefined) return undefined;
  const { pattern, body } = getOption(method, http);
  switch (pattern.case) {
    case undefined:
      return undefined;
    case "get":
      return { method: "GET", path: inJsonNames(pattern.value, method), views: ["full"] };
    case "delete":
      return { method: "DELETE", path: inJsonNames(pattern.value, method), views: [] };
    case "post":
      if (body !== "*") throw new Error(`${method.name}: only body "*" is known`);
      return { method: "POST", path: inJsonNames(pattern.value, method), views: [] };
    default:
      throw new Error(`${method.name}: no calls are written for ${pattern.case}`);
  }
}

/** "/v2/virtualmachines/{vm_id}" is "/v2/virtualmachines/{vmId}". */
function inJsonNames(path: string, method: DescMethod): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const field = method.input.fields.find((field) => field.name === name);
    if (field === undefined) throw new Error(`${method.name}: ${method.input.typeName} has no field ${name}, which its path names`);
    return `{${field.jsonName}}`;
  });
}

function reachable(roots: readonly DescMessage[]): { readonly messages: ReadonlySet<DescMessage>; readonly enums: ReadonlySet<DescEnum> } {
  const messages = new Set(roots);
  const enums = new Set<DescEnum>();
  for (const message of messages) {
    for (const field of message.fields) {
      if (field.enum !== undefined) enums.add(field.enum);
      // A set that grows while it is walked is walked to its end.
      if (field.message !== undefined && field.message.typeName !== TimestampSchema.typeName) messages.add(field.message);
    }
  }
  return { messages, enums };
}

function renderMessage(message: DescMessage, renderField: (field: DescField) => string): string {
  return [`export interface ${typeName(message)} {`, ...message.fields.map((field) => `  ${renderField(field)}`), "}", ""].join("\n");
}

function renderRequestField(field: DescField): string {
  return `readonly ${field.jsonName}?: ${valueType(field)};`;
}

function renderAnswerField(field: DescField): string {
  if (field.oneof !== undefined) return `readonly ${field.jsonName}?: ${valueType(field)};`;
  return `readonly ${field.jsonName}: ${valueType(field)}${field.fieldKind === "message" ? " | null" : ""};`;
}

function valueType(field: DescField): string {
  switch (field.fieldKind) {
    case "scalar":
      return scalarType(field.scalar);
    case "enum":
      return typeName(field.enum);
    case "message":
      return messageType(field.message);
    case "list":
      return `readonly ${itemType(field)}[]`;
    case "map":
      return `Readonly<Record<string, ${itemType(field)}>>`;
    default:
      return field satisfies never;
  }
}

function itemType(field: DescField & { fieldKind: "list" | "map" }): string {
  if (field.message !== undefined) return messageType(field.message);
  return field.enum !== undefined ? typeName(field.enum) : scalarType(field.scalar);
}

function messageType(message: DescMessage): string {
  return message.typeName === TimestampSchema.typeName ? "string" : typeName(message);
}

function scalarType(scalar: ScalarType): string {
  if (scalar === ScalarType.BOOL) return "boolean";
  const numbers = [
    ScalarType.DOUBLE,
    ScalarType.FLOAT,
    ScalarType.INT32,
    ScalarType.UINT32,
    ScalarType.SINT32,
    ScalarType.FIXED32,
    ScalarType.SFIXED32,
  ];
  return numbers.includes(scalar) ? "number" : "string";
}

function renderEnum(type: DescEnum): string {
  return `export type ${typeName(type)} = ${type.values.map((value) => JSON.stringify(value.name)).join(" | ")};\n`;
}

function parametersOf(method: DescMethod): string {
  return `request: ${typeName(method.input)}, signal?: AbortSignal`;
}

/** "v2.ScanState.State" is ScanState_State. */
function typeName(type: DescMessage | DescEnum): string {
  const scope = type.file.proto.package;
  return type.typeName.slice(scope === "" ? 0 : scope.length + 1).replaceAll(".", "_");
}
