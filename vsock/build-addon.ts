/** Builds dist/lib/vsock.node. Run by deploy/build.ts. */
import { join } from "node:path";
import { compileAddon } from "./compile-addon.ts";

const compiled = compileAddon(join(import.meta.dirname, "../dist/lib/vsock.node"));
if (compiled.kind === "no_compiler") console.log(`roxagent and relay are built without AF_VSOCK, as ${compiled.why}; hybrid sockets work`);
