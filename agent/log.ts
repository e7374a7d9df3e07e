export type LogValue = string | number | boolean;
export type LogLevel = "info" | "warn" | "error";

/** One event: a constant message and its values. */
export type Log = (level: LogLevel, message: string, fields?: Readonly<Record<string, LogValue>>) => void;

/** Writes an event a line: `time=… level=info msg="report delivered" packages=301`. */
export function createLog(write: (line: string) => void, now: () => Date): Log {
  return (level, message, fields = {}) => {
    const values = Object.entries({ time: now().toISOString(), level, msg: message, ...fields });
    write(`${values.map(([name, value]) => `${name}=${format(value)}`).join(" ")}\n`);
  };
}

/** Quoted where a reader could take it for more than one value; a line break never breaks a line. */
function format(value: LogValue): string {
  const text = String(value);
  return /^[\w./:@+,~-]+$/.test(text) ? text : JSON.stringify(text);
}
