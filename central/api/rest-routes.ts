import type { DescMessage, DescMethod, DescMethodUnary, DescService, JsonValue, MessageInitShape } from "@bufbuild/protobuf";
import { create, getOption } from "@bufbuild/protobuf";
import { Code, ConnectError, type ContextValues, createHandlerContext, type ServiceImpl } from "@connectrpc/connect";
import { http } from "@guestscan/proto/gen/google/api/annotations_pb";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { printMessage, type View } from "./json-printer.ts";
import { printError } from "./rest-error.ts";
import { requestFromParameters } from "./rest-request.ts";

/** A service and what answers it; the same that gRPC calls. */
export interface ServedService {
  readonly service: DescService;
  readonly implementation: Partial<ServiceImpl<DescService>>;
}

/** Ties a service to what answers it. */
export function serve<Service extends DescService>(service: Service, implementation: ServiceImpl<Service>): ServedService {
  return { service, implementation: implementation as Partial<ServiceImpl<DescService>> };
}

type UnaryHandler = (
  request: unknown,
  context: ReturnType<typeof createHandlerContext>,
) => Promise<MessageInitShape<DescMessage>> | MessageInitShape<DescMessage>;

export interface RestOptions {
  readonly services: readonly ServedService[];
  readonly contextValues: (request: FastifyRequest) => ContextValues;
  /** Methods that answer in the place of another when `view` has the word: { "v2.Service.GetVirtualMachine": { detail: "getVMDetail" } }. */
  readonly views: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

/** A route for every method with a google.api.http annotation. */
export function registerRestRoutes(app: FastifyInstance, options: RestOptions): void {
  for (const served of options.services) {
    for (const method of served.service.methods) {
      const { pattern } = getOption(method, http);
      if (!isUnary(method) || pattern.case === undefined || pattern.case === "custom") continue;
      app.route({
        method: pattern.case.toUpperCase(),
        url: pattern.value.replaceAll(/\{(\w+)\}/g, ":$1"),
        handler: (request, reply) => answer(options, served, method, request, reply),
      });
    }
  }
}

async function answer(
  options: RestOptions,
  served: ServedService,
  annotated: DescMethodUnary,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const query = new URL(request.url, "https://central").searchParams;
  const views = query.getAll("view");
  query.delete("view");
  const context = createHandlerContext({
    service: served.service,
    method: annotated,
    protocolName: "rest",
    requestMethod: request.method,
    url: request.url,
    contextValues: options.contextValues(request),
  });
  try {
    const method = viewedMethod(options, served.service, annotated, views);
    const parameters = [...Object.entries(request.params as Record<string, string>), ...query].filter(([name]) =>
      isParameterOf(method, annotated, name),
    );
    const message = requestFromParameters(method.input, parameters, request.body as JsonValue | undefined);
    const handler = served.implementation[method.localName] as unknown as UnaryHandler;
    const response = create(method.output, await handler(message, context));
    const cookies = context.responseHeader.getSetCookie();
    if (cookies.length > 0) void reply.header("set-cookie", cookies);
    const view: View = views.includes("full") ? "full" : "upstream";
    return await reply.header("cache-control", "no-store").send(printMessage(method.output, response, view));
  } catch (error) {
    const { status, body } = printError(ConnectError.from(error));
    if (status >= 500) request.log.error({ err: error }, "a request failed");
    return await reply.code(status).send(body);
  } finally {
    context.abort();
  }
}

/** Throws ConnectError InvalidArgument for a word that `view` has not here. */
function viewedMethod(
  { views: known }: RestOptions,
  service: DescService,
  method: DescMethodUnary,
  views: readonly string[],
): DescMethodUnary {
  const alternatives = known[`${service.typeName}.${method.name}`] ?? {};
  const unknown = views.find((view) => view !== "full" && !Object.hasOwn(alternatives, view));
  if (unknown !== undefined)
    throw new ConnectError(
      `unknown view "${unknown}": there is ${["full", ...Object.keys(alternatives)].join(" and ")}`,
      Code.InvalidArgument,
    );
  const name = views
    .map((view) => (Object.hasOwn(alternatives, view) ? alternatives[view] : undefined))
    .find((found) => found !== undefined);
  const chosen = service.methods.find(({ localName }) => localName === name);
  return chosen !== undefined && isUnary(chosen) ? chosen : method;
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === "unary";
}

/** What the annotated method takes and its other view has no use for (stripDescription) is let pass. */
function isParameterOf(method: DescMethodUnary, annotated: DescMethodUnary, name: string): boolean {
  if (method === annotated) return true;
  const has = ({ input }: DescMethodUnary): boolean => input.fields.some((field) => field.name === name || field.jsonName === name);
  return has(method) || !has(annotated);
}
