/** Past this size a file is no os-release, in bytes. */
export const MAX_OS_RELEASE_BYTES = 64 * 1024;

/**
 * The assignments of an os-release file: NAME to its value, unquoted as a shell would. Lines that assign nothing are passed over, so that one
 * stray line does not hide what system this is; of two assignments the later one counts.
 * https://www.freedesktop.org/software/systemd/man/latest/os-release.html
 */
export function parseOsRelease(text: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const line of text.slice(0, MAX_OS_RELEASE_BYTES).split("\n")) {
    const assignment = /^\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*?)\s*$/.exec(line);
    if (assignment?.[1] !== undefined && assignment[2] !== undefined) values.set(assignment[1], unquote(assignment[2]));
  }
  return values;
}

/** Adjoining parts make one word: 'a'"b"c is abc. Inside double quotes a backslash escapes only $, ", \ and the back quote. */
function unquote(word: string): string {
  return word.replace(/'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/g, (_part, single?: string, double?: string, escaped?: string) => {
    if (single !== undefined) return single;
    if (double !== undefined) return double.replace(/\\([$"\\`])/g, "$1");
    return escaped ?? "";
  });
}
