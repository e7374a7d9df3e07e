/** One RPC as the REST API serves it: google.api.http of its method. */
export interface Endpoint {
  readonly method: "GET" | "POST" | "DELETE";
  /** Names of request fields in braces, in their JSON spelling: "/v2/virtualmachines/{vmId}/cves". */
  readonly path: string;
  /** Values of `view` to ask for; "full" has the fields that are beyond upstream's API. */
  readonly views: readonly string[];
}

export type Fetch = (url: string, init: RequestInit) => Promise<Response>;

/** What a call needs beside its endpoint. `baseUrl` has no slash at its end; "" is the page's own origin. */
export interface Transport {
  readonly fetch: Fetch;
  readonly baseUrl: string;
  readonly signal?: AbortSignal;
}

/** An answer that is not 2xx, or none at all: then status and code are 0. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  /** HTTP status. */
  readonly status: number;
  /** gRPC status number. */
  readonly code: number;
  /** Names the request in Central's log; "" when the answer has none. */
  readonly requestId: string;

  constructor(status: number, code: number, message: string, requestId: string, cause?: unknown) {
    super(message, { cause });
    this.status = status;
    this.code = code;
    this.requestId = requestId;
  }
}

/** Fields of `request` that the path names go there, the rest into the query, or into the JSON body of a POST. Throws ApiError. */
export async function callEndpoint<Answer>(endpoint: Endpoint, request: object, { fetch, baseUrl, signal }: Transport): Promise<Answer> {
  const rest = new Map(Object.entries(request));
  const path = endpoint.path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value: unknown = rest.get(name);
    rest.delete(name);
    if (typeof value !== "string" || value === "") throw new TypeError(`${endpoint.path}: ${name} is missing`);
    return encodeURIComponent(value);
  });
  const headers = { accept: "application/json" };
  const aborts = signal === undefined ? {} : { signal };
  if (endpoint.method === "POST") {
    const body = JSON.stringify(Object.fromEntries(rest));
    const init = { method: "POST", headers: { ...headers, "content-type": "application/json" }, body, ...aborts };
    return readAnswer<Answer>(await send(fetch, `${baseUrl}${path}`, init));
  }
  const parameters = new URLSearchParams();
  for (const view of endpoint.views) parameters.append("view", view);
  for (const [name, value] of rest) appendParameter(parameters, name, value);
  const query = parameters.size === 0 ? "" : `?${parameters.toString()}`;
  return readAnswer<Answer>(await send(fetch, `${baseUrl}${path}${query}`, { method: endpoint.method, headers, ...aborts }));
}

/** Messages by dotted names, as grpc-gateway reads them: query.pagination.limit=20. */
function appendParameter(parameters: URLSearchParams, name: string, value: unknown): void {
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") parameters.append(name, value.toString());
  if (typeof value !== "object" || value === null) return;
  const fields = Object.entries(value).map(
    ([field, inner]: [string, unknown]) => [Array.isArray(value) ? name : `${name}.${field}`, inner] as const,
  );
  for (const [field, inner] of fields) appendParameter(parameters, field, inner);
}

async function send(fetch: Fetch, url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (cause) {
    if (init.signal?.aborted === true) throw cause;
    throw new ApiError(0, 0, "Central could not be reached", "", cause);
  }
}

async function readAnswer<Answer>(response: Response): Promise<Answer> {
  const requestId = response.headers.get("x-request-id") ?? "";
  const body = await readJson(response);
  if (response.ok && body !== undefined) return body as Answer;
  const { code, message } = { code: 0, message: "", ...body };
  throw new ApiError(response.status, code, message === "" ? `Central answered with status ${response.status}` : message, requestId);
}

/** Undefined for what is not a JSON object, such as the page of a proxy in between. */
async function readJson(response: Response): Promise<object | undefined> {
  try {
    const body: unknown = await response.json();
    return typeof body === "object" && body !== null ? body : undefined;
  } catch {
    return undefined;
  }
}
