import { FormatError } from "../format-error.ts";

export interface TableDefinition {
  readonly columns: readonly ColumnDefinition[];
  /** Index of the column that is another name of the rowid (INTEGER PRIMARY KEY). */
  readonly rowidColumn: number | undefined;
  readonly withoutRowid: boolean;
}

export interface ColumnDefinition {
  readonly name: string;
  /** What a row has there that was stored before the column was added. KNOWN LIMIT: null where the default is an expression. */
  readonly defaultValue: null | number | string;
}

/**
 * Reads a statement as SQLite keeps it in its schema: `CREATE TABLE name (column type constraints, …, table constraints) options`.
 * https://www.sqlite.org/lang_createtable.html. Throws FormatError "malformed".
 */
export function parseCreateTable(sql: string): TableDefinition {
  const tokens = tokenize(sql);
  const open = tokens.findIndex((token) => isSymbol(token, "("));
  if (open === -1) throw new FormatError("malformed", `SQLite schema: no column list in ${JSON.stringify(sql.slice(0, 80))}`);
  const { parts, rest } = splitList(tokens, open + 1);
  const definitions = parts.filter(([first]) => first !== undefined && !startsConstraint(first));
  const constraints = parts.filter(([first]) => first !== undefined && startsConstraint(first));
  const columns = definitions.map((part) => ({ name: part[0]?.text ?? "", defaultValue: defaultValue(part) }));
  const rowidColumn = definitions.findIndex((part) => isWord(part[1], "INTEGER") && isTypeOneWord(part) && isPrimaryKey(part, constraints));
  const withoutRowid = rest.some((token, i) => isWord(token, "WITHOUT") && isWord(rest[i + 1], "ROWID"));
  return { columns, rowidColumn: rowidColumn === -1 ? undefined : rowidColumn, withoutRowid };
}

interface Token {
  readonly kind: "word" | "quoted" | "string" | "number" | "symbol";
  /** Without its quotes. */
  readonly text: string;
}

const TOKEN =
  /\s+|--[^\n]*|\/\*[^]*?\*\/|"((?:[^"]|"")*)"|`((?:[^`]|``)*)`|\[([^\]]*)\]|'((?:[^']|'')*)'|([A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*)|(\d[\w.]*)|([^])/g;

function tokenize(sql: string): readonly Token[] {
  const tokens: Token[] = [];
  for (const [, double, backtick, bracket, string, word, number, symbol] of sql.matchAll(TOKEN)) {
    if (double !== undefined) tokens.push({ kind: "quoted", text: double.replaceAll('""', '"') });
    else if (backtick !== undefined) tokens.push({ kind: "quoted", text: backtick.replaceAll("``", "`") });
    else if (bracket !== undefined) tokens.push({ kind: "quoted", text: bracket });
    else if (string !== undefined) tokens.push({ kind: "string", text: string.replaceAll("''", "'") });
    else if (word !== undefined) tokens.push({ kind: "word", text: word });
    else if (number !== undefined) tokens.push({ kind: "number", text: number });
    else if (symbol !== undefined) tokens.push({ kind: "symbol", text: symbol });
  }
  return tokens;
}

/** The comma-separated parts from `from` to the parenthesis that closes the list, and what follows it. */
function splitList(
  tokens: readonly Token[],
  from: number,
): { readonly parts: readonly (readonly Token[])[]; readonly rest: readonly Token[] } {
  const parts: Token[][] = [[]];
  let depth = 0;
  for (const [i, token] of tokens.slice(from).entries()) {
    if (depth === 0 && isSymbol(token, ")")) return { parts, rest: tokens.slice(from + i + 1) };
    if (depth === 0 && isSymbol(token, ",")) {
      parts.push([]);
      continue;
    }
    if (isSymbol(token, "(")) depth++;
    if (isSymbol(token, ")")) depth--;
    parts.at(-1)?.push(token);
  }
  throw new FormatError("malformed", "SQLite schema: a column list does not end");
}

const CONSTRAINTS = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"];

function startsConstraint(token: Token): boolean {
  return CONSTRAINTS.some((word) => isWord(token, word));
}

/** "INTEGER" alone names the rowid; "INTEGER UNSIGNED" does not. */
function isTypeOneWord(part: readonly Token[]): boolean {
  const after = part[2];
  return after === undefined || AFTER_TYPE.some((word) => isWord(after, word));
}
const AFTER_TYPE = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "NOT", "NULL", "DEFAULT", "COLLATE", "REFERENCES", "GENERATED", "AS"];

/** By its own constraint, or by one of the table that names this column alone. */
function isPrimaryKey(part: readonly Token[], constraints: readonly (readonly Token[])[]): boolean {
  const own = primaryAt(part);
  if (own !== -1) return !isWord(part[own + 2], "DESC"); // an old bug of SQLite, kept for old files
  return constraints.some((constraint) => {
    const at = primaryAt(constraint);
    if (at === -1 || !isSymbol(constraint[at + 2], "(")) return false;
    const isAlone = splitList(constraint, at + 3).parts.length === 1;
    return isAlone && constraint[at + 3]?.text.toLowerCase() === part[0]?.text.toLowerCase();
  });
}

function primaryAt(tokens: readonly Token[]): number {
  return tokens.findIndex((token, i) => isWord(token, "PRIMARY") && isWord(tokens[i + 1], "KEY"));
}

function defaultValue(part: readonly Token[]): null | number | string {
  const at = part.findIndex((token) => isWord(token, "DEFAULT"));
  const literal = at === -1 ? [] : part.slice(at + 1).filter((token) => !isSymbol(token, "("));
  const isNegative = isSymbol(literal[0], "-");
  const value = literal[isNegative || isSymbol(literal[0], "+") ? 1 : 0];
  if (value?.kind === "string" || value?.kind === "quoted") return value.text;
  if (value?.kind === "number") return Number(value.text) * (isNegative ? -1 : 1);
  if (isWord(value, "TRUE")) return 1;
  return isWord(value, "FALSE") ? 0 : null;
}

function isWord(token: Token | undefined, upper: string): boolean {
  return token?.kind === "word" && token.text.toUpperCase() === upper;
}

function isSymbol(token: Token | undefined, text: string): boolean {
  return token?.kind === "symbol" && token.text === text;
}
