/** The guestscan executable: what a person runs by hand. */
import { join } from "node:path";
import { resetPassword } from "./admin.ts";
import { CliError } from "./cli-error.ts";
import { type CliCommand, distFolder, readCommand } from "./config.ts";
import { EXIT } from "./exit-code.ts";
import packageJson from "./package.json" with { type: "json" };
import { scan } from "./scan.ts";
import { UpError, up } from "./up.ts";

const dist = distFolder(import.meta.dirname);
const bin = join(dist, "bin");

// Whoever reads the output may stop, as head does.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

run(readCommand(process.argv.slice(2), process.env, packageJson.version)).then(
  (status) => {
    process.exitCode = status;
  },
  (error: unknown) => {
    const isExplained = error instanceof CliError || error instanceof UpError;
    process.stderr.write(`error: ${isExplained ? error.message : error instanceof Error ? error.stack : String(error)}\n`);
    process.exitCode = error instanceof CliError ? EXIT.badInput : EXIT.unexpected;
  },
);

async function run(command: CliCommand): Promise<number> {
  switch (command.kind) {
    case "scan":
      return scan(command.options, {
        version: packageJson.version,
        print: (text) => process.stdout.write(text),
        say: (line) => process.stderr.write(`${line}\n`),
        progress: (line) => {
          if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
        },
      });
    case "up":
      await up(command.options, {
        bin,
        demo: join(dist, "share/demo"),
        page: join(dist, "ui"),
        env: process.env,
        print: (line) => process.stdout.write(`${line}\n`),
        signal: interruption(),
      });
      return EXIT.done;
    case "reset-password":
      return resetPassword(bin, command.dataDir, process.env);
    case "print":
      process.stdout.write(command.text);
      return EXIT.done;
    case "usage":
      process.stderr.write(command.text);
      return EXIT.usage;
    default:
      return command satisfies never;
  }
}

/** Aborted by Ctrl-C, SIGTERM or the end of the terminal. */
function interruption(): AbortSignal {
  const controller = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => controller.abort());
  return controller.signal;
}
