import type { DescEnum, DescField, DescMessage, Message } from "@bufbuild/protobuf";
import { ScalarType, toJson } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect, type ScalarValue } from "@bufbuild/protobuf/reflect";
import { type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";

/** "upstream": without the fields from 1000 on, which strict clients of upstream's API would stumble over. */
export type View = "upstream" | "full";

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

const FIRST_FIELD_BEYOND_UPSTREAM = 1000;

/**
 * A message as grpc-gateway prints it, with EmitUnpopulated: unset scalars with their zero value, unset messages null, unset members of a oneof absent, int64 as text, enums
 * by name, floats in their shortest form. https://pkg.go.dev/google.golang.org/protobuf@v1.36.0/encoding/protojson#MarshalOptions
 */
export function printMessage(schema: DescMessage, message: Message, view: View): { readonly [name: string]: Json } {
  return printReflected(reflect(schema, message), view);
}

function printReflected(message: ReflectMessage, view: View): { readonly [name: string]: Json } {
  const shown = message.fields.filter((field) => view === "full" || field.number < FIRST_FIELD_BEYOND_UPSTREAM);
  return Object.fromEntries(
    shown
      .filter((field) => field.oneof === undefined || message.isSet(field))
      .map((field) => [field.jsonName, printField(message, field, view)]),
  );
}

function printField(message: ReflectMessage, field: DescField, view: View): Json {
  switch (field.fieldKind) {
    case "scalar":
      return printScalar(field.scalar, message.get(field));
    case "enum":
      return printEnum(field.enum, message.get(field));
    case "message":
      return message.isSet(field) ? printSubmessage(message.get(field), view) : null;
    case "list":
      return [...message.get(field)].map((value) => printElement(field, value, view));
    default: {
      const entries = [...message.get(field)].map(([key, value]) => [String(key), printElement(field, value, view)] as const);
      return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
    }
  }
}

function printElement(field: (DescField & { fieldKind: "list" }) | (DescField & { fieldKind: "map" }), value: unknown, view: View): Json {
  if (field.scalar !== undefined) return printScalar(field.scalar, value as ScalarValue);
  if (field.enum !== undefined) return printEnum(field.enum, value as number);
  return printSubmessage(value as ReflectMessage, view);
}

function printSubmessage(message: ReflectMessage, view: View): Json {
  if (message.desc.typeName === TimestampSchema.typeName) return toJson(TimestampSchema, message.message as Timestamp);
  return printReflected(message, view);
}

function printEnum(schema: DescEnum, value: number): Json {
  return schema.value[value]?.name ?? value;
}

function printScalar(type: ScalarType, value: ScalarValue): Json {
  switch (typeof value) {
    case "bigint":
      return value.toString();
    case "number":
      return printNumber(type, value);
    case "object":
      return Buffer.from(value).toString("base64");
    default:
      return value;
  }
}

function printNumber(type: ScalarType, value: number): Json {
  // NaN and the infinities have no JSON number.
  if (!Number.isFinite(value)) return value < 0 ? "-Infinity" : value > 0 ? "Infinity" : "NaN";
  return type === ScalarType.FLOAT ? shortestFloat(value) : value;
}

/** The number with the fewest digits that is this float32: 7.6, where the float as a double is 7.599999904632568. */
function shortestFloat(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === Math.fround(value)) return short;
  }
  return Number(value.toPrecision(9)); // 9 digits name every float32
}
