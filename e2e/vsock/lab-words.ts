/** What the programs of the lab tell each other, and what they print, one JSON object a line. */

/** Where the node's program hears the guests' requests. */
export const CONTROL_PORT = 900;
/** Nobody listens there. */
export const SILENT_PORT = 819;

/** In the relays' certificates. */
export const NODE_NAME = "node-1";

export type RelayName = "first" | "second";

/** What a guest may ask of the node. "spool": to note what that relay keeps of it. "second-relay": to start one, which hears on 1024 and has a Sensor, when all other guests are done. */
export type ControlRequest =
  | { readonly ask: "spool"; readonly relay: RelayName; readonly label: string }
  | { readonly ask: "second-relay" }
  | { readonly ask: "done" };

export interface ControlAnswer {
  readonly cid: number;
  /** Of the guest's side of the connection. */
  readonly port: number;
}

/** What a relay's spool holds of a guest. */
export interface SpoolNote {
  readonly label: string;
  readonly cid: number;
  readonly recordCid: number;
  /** Of the content, as our agent's envelope states it. */
  readonly digest: string;
  /** The report, zstd in base64. */
  readonly report: string;
}

/** What the node's program says at its end. */
export interface NodeNote {
  readonly notes: readonly SpoolNote[];
  /** Exit statuses of the relays after SIGTERM. */
  readonly relays: readonly (number | null)[];
  /** Messages of the second relay's log that name a port. */
  readonly secondRelay: string;
}

/** A run of roxagent. */
export interface AgentNote {
  readonly status: number | null;
  readonly stderr: string;
}

/** What became of bytes that were sent by hand: "QUEUED", "REJECTED cid_mismatch". */
export type SentNote = string;

export interface GuestNote {
  readonly cid: number;
  /** Without --port, while only 818 is heard. */
  readonly fallback: AgentNote;
  readonly realBytes: SentNote;
  readonly forgedBytes: SentNote;
  readonly cutBytes: SentNote;
  /** What does not depend on the packages: by the first guest alone, as it takes half a minute. */
  readonly apart: ApartNote | null;
  readonly control: ControlAnswer;
  /** Programs and libraries in the folders that the agent may write its addon to, after it ran. */
  readonly leftOver: readonly string[];
}

/** A run of roxagent doctor --format json. */
export interface DoctorNote {
  readonly status: number | null;
  readonly stdout: string;
}

export interface ApartNote {
  /** With --port 1024, while only 818 is heard. */
  readonly doctor: DoctorNote;
  readonly nobodyListens: AgentNote;
  readonly forgedByAgent: AgentNote;
  readonly largeBytes: SentNote;
  readonly tooLargeBytes: SentNote;
  /** By a user without privileges, first where /dev/vsock is root's alone. */
  readonly shutOut: AgentNote;
  readonly unprivileged: AgentNote;
  /** Without --port, while both ports are heard. */
  readonly both: AgentNote;
}
