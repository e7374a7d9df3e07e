import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";

/** The files of one folder, as the spool needs them. */
export interface SpoolFiles {
  list(): Promise<readonly string[]>;
  read(name: string): Promise<Buffer>;
  /** Resolves when file and folder are on the disk. A rejection leaves the old file or the new one, never a part. */
  writeDurably(name: string, content: Uint8Array): Promise<void>;
  /** Not made durable: a file that comes back after a power cut is sent once more, and does no harm. */
  remove(name: string): Promise<void>;
  rename(name: string, newName: string): Promise<void>;
}

/** Makes the folder if it is not there, for its owner only. Unfinished files of an earlier process go. */
export async function openSpoolFiles(dir: string): Promise<SpoolFiles> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const remove = (name: string): Promise<void> => rm(join(dir, name), { force: true });
  for (const name of await readdir(dir)) if (name.endsWith(UNFINISHED)) await remove(name);
  return {
    list: () => readdir(dir),
    read: (name) => readFile(join(dir, name)),
    async writeDurably(name, content) {
      const unfinished = join(dir, name + UNFINISHED);
      try {
        await writeAndSync(unfinished, content);
        await rename(unfinished, join(dir, name));
      } catch (error) {
        await rm(unfinished, { force: true }).catch(() => {}); // the first error says more
        throw error;
      }
      await syncFolder(dir);
    },
    remove,
    rename: (name, newName) => rename(join(dir, name), join(dir, newName)),
  };
}

const UNFINISHED = ".unfinished";

async function writeAndSync(path: string, content: Uint8Array): Promise<void> {
  const file = await open(path, "w", 0o600);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(dir: string): Promise<void> {
  const folder = await open(dir, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
