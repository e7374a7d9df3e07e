import { baseArchOf } from "@guestscan/formats/dnf/media-repository";
import type { VsockAddon } from "@guestscan/vsock/vsock";
import type { Config } from "../config.ts";
import { createConnect } from "../connect.ts";
import { discover } from "../discover.ts";
import { createHostFiles } from "../host-files.ts";
import { readPackages } from "../read-packages.ts";
import { readRepositories } from "../read-repositories.ts";
import { CAUSES, type Cause } from "./cause.ts";
import { CHECK_NAMES, type Check, type CheckName, type Finding } from "./check.ts";
import { checkHostPath } from "./check-host-path.ts";
import { checkMap, type MapDeps } from "./check-map.ts";
import { checkOperatingSystem, checkSubscription } from "./check-operating-system.ts";
import { checkDatabases, checkRepositories } from "./check-packages.ts";
import { checkReadable } from "./check-readable.ts";
import { checkRelay } from "./check-relay.ts";
import { checkClock, checkDisk, checkUser } from "./check-system.ts";
import { checkCid, checkDevice, checkModules } from "./check-vsock.ts";

export interface DoctorDeps extends Omit<MapDeps, "proxies"> {
  readonly uid: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Where proc, sys, dev and lib/modules are: "/". */
  readonly systemRoot: string;
  /** What uname -r says. */
  readonly kernel: string;
  /** Where the agent may put its addon for a moment, in the order in which it tries. */
  readonly folders: readonly string[];
  /** Called for vsock only. Throws VsockError. */
  readonly loadVsock: () => VsockAddon;
}

export interface Diagnosis {
  readonly checks: readonly Check[];
  /** 0, or that of the cause to be repaired first. */
  readonly exitCode: number;
}

/** Examines all that a report needs, without sending one. */
export async function diagnose({ hostPath, addresses, repoCpeUrl, proxies, timeoutMs }: Config, deps: DoctorDeps): Promise<Diagnosis> {
  const { uid, now, systemRoot, kernel, folders, loadVsock } = deps;
  const network = Promise.all([
    checkRelay({ addresses, connect: createConnect(loadVsock), timeoutMs }),
    checkMap(repoCpeUrl, { ...deps, proxies }),
  ]);
  const [address] = addresses;
  const files = createHostFiles(hostPath);
  const discovery = discover(files);
  const read = readPackages(files);
  const repositories = readRepositories(files, read.packages, {
    rhelMajor: discovery.detectedOs === "rhel" ? Number.parseInt(discovery.osVersion, 10) : undefined,
    baseArch: baseArchOf(read.packages.map(({ arch }) => arch)),
  });
  const [relay, map] = await network;
  const findings: Readonly<Record<CheckName, Finding>> = {
    user: checkUser(uid),
    "host path": checkHostPath(hostPath, files),
    readable: checkReadable(files, [...read.reasons, ...repositories.reasons, ...discovery.reasons]),
    databases: checkDatabases(read),
    "vsock modules": checkModules(address, systemRoot, kernel),
    "vsock device": checkDevice(address, systemRoot),
    cid: checkCid(address, loadVsock),
    relay,
    "operating system": checkOperatingSystem(discovery),
    subscription: checkSubscription(discovery, files, now()),
    repositories: checkRepositories(read.packages.length, repositories),
    "repository map": map,
    disk: checkDisk(folders),
    clock: checkClock(hostPath, files, now()),
  };
  const checks = CHECK_NAMES.map((name) => ({ name, ...findings[name] }));
  return { checks, exitCode: exitCodeOf(checks) };
}

function exitCodeOf(checks: readonly Check[]): number {
  const found = new Set(checks.flatMap((check) => (check.state === "problem" ? [check.cause] : [])));
  const first = (Object.keys(CAUSES) as Cause[]).find((cause) => found.has(cause));
  return first === undefined ? 0 : CAUSES[first].exitCode;
}
