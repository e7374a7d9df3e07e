import { create, type DescField, type DescMessage, fromJson, type JsonValue, type Message, ScalarType } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { Code, ConnectError } from "@connectrpc/connect";
import { nearestName } from "@guestscan/proto/settings";

/**
 * A request message from the parameters of a path and a query, as [name, value]; a name is a path of field names ("query.pagination.limit"), in camelCase or snake_case.
 * Throws ConnectError InvalidArgument for a name that the message has not (naming the nearest) and for a value of another type.
 */
export function requestFromParameters(
  schema: DescMessage,
  parameters: Iterable<readonly [string, string]>,
  body: JsonValue | undefined,
): Message {
  const message = body === undefined ? create(schema) : requestFromBody(schema, body);
  for (const [name, value] of parameters) setParameter(reflect(schema, message), name, name.split("."), value);
  return message;
}

function requestFromBody(schema: DescMessage, body: JsonValue): Message {
  try {
    return fromJson(schema, body);
  } catch (error) {
    throw new ConnectError(error instanceof Error ? error.message : "the body is not the request's message", Code.InvalidArgument);
  }
}

function setParameter(message: ReflectMessage, name: string, [first = "", ...rest]: readonly string[], value: string): void {
  const field = message.fields.find((candidate) => candidate.jsonName === first || candidate.name === first);
  if (field === undefined) {
    const nearest = nearestName(
      first,
      message.fields.map(({ jsonName }) => jsonName),
    );
    throw new ConnectError(`unknown parameter "${name}"${nearest === "" ? "" : `: the nearest is "${nearest}"`}`, Code.InvalidArgument);
  }
  if (field.fieldKind === "message" && rest.length > 0) {
    // get() of an unset message gives a new one, which is not in the message until it is set.
    const child = message.get(field);
    setParameter(child, name, rest, value);
    message.set(field, child);
    return;
  }
  if (rest.length > 0 || (field.fieldKind !== "scalar" && field.fieldKind !== "enum"))
    throw new ConnectError(`parameter "${name}" is not a single value`, Code.InvalidArgument);
  message.set(field, parseValue(field, name, value));
}

function parseValue(field: DescField & { fieldKind: "scalar" | "enum" }, name: string, value: string): string | number | bigint | boolean {
  const refuse = (expected: string): never => {
    throw new ConnectError(`parameter "${name}" is "${value}", not ${expected}`, Code.InvalidArgument);
  };
  if (field.fieldKind === "enum")
    return field.enum.values.find((candidate) => candidate.name === value)?.number ?? refuse(`one of ${field.enum.name}`);
  switch (field.scalar) {
    case ScalarType.STRING:
      return value;
    case ScalarType.BOOL:
      return value === "true" || value === "1" ? true : value === "false" || value === "0" ? false : refuse("true or false");
    case ScalarType.INT32:
      return /^-?\d{1,10}$/.test(value) && (Number(value) | 0) === Number(value) ? Number(value) : refuse("a 32-bit number");
    default:
      return refuse("of a kind that a parameter can have");
  }
}
