/** Where a product of Red Hat Enterprise Linux stands, read from its id in a VEX document. */
export interface ProductStream {
  readonly major: number;
  /** null: the whole major release, as unfixed packages of the legacy feed have it. */
  readonly minor: number | null;
  /** "main" is the stream that every subscription reaches; an extended one (EUS, AUS, E4S, TUS, ELS, …) has its own repositories. */
  readonly channel: "main" | "extended";
  /** "baseos", "appstream", "server", …; "" where the id does not say. */
  readonly repository: string;
}

/** Null for products that are not RHEL itself. */
export function parseProductStream(productId: string): ProductStream | null {
  return parseGa(productId) ?? parseUnfixed(productId) ?? parseFixed(productId) ?? parseVariant(productId);
}

/** The GA feed: "rhel-9.8::baseos", "rhel-9.4.z.eus", "rhel-8.2.0.z.aus", "rhel-br-9.8::baseos", "rhel-7-els.els", "rhel-5-els::client", "rhel-8". */
function parseGa(productId: string): ProductStream | null {
  const match = /^rhel-(?:br-)?(\d+)(?:\.(\d+)(?:\.\d+)?)?(-els)?(?:\.z)?(?:\.([a-z][a-z0-9]*))?(?:::(.+))?$/.exec(productId);
  if (match === null) return null;
  const [, major, minor, els, channel = els, repository] = match;
  return stream(major, minor, channel === undefined ? "main" : "extended", repository);
}

/** Unfixed packages of the legacy feed: "red_hat_enterprise_linux_9". */
function parseUnfixed(productId: string): ProductStream | null {
  const major = /^red_hat_enterprise_linux_(\d+)$/.exec(productId)?.[1];
  return major === undefined ? null : stream(major, undefined, "main", "");
}

/** Fixed packages of the legacy feed: "BaseOS-9.2.0.Z.MAIN.EUS" (the main stream, which EUS also gets), "AppStream-8.6.0.Z.EUS", "AppStream-9.1.0.GA", "AppStream-10". */
function parseFixed(productId: string): ProductStream | null {
  const match =
    /^(BaseOS|AppStream|CRB|HighAvailability|ResilientStorage|NFV|RT|SAP|SAPHANA|Supplementary)-(\d+)(?:\.(\d+)(?:\.\d+)?)?((?:\.[A-Z][A-Z0-9]*)*)$/.exec(
      productId,
    );
  if (match === null) return null;
  const [, repository, major, minor, words = ""] = match;
  return stream(major, minor, channelOf(words), repository);
}

/** RHEL 5 to 7 have variants: "7Server-7.9.Z", "7Server-optional-7.9.Z", "7Server-7.6.AUS", "7Server-ELS". */
function parseVariant(productId: string): ProductStream | null {
  const match =
    /^(\d)(Server|Client|Workstation|ComputeNode|Desktop)(?:-optional|-supplementary)?-(?:\1\.(\d+)((?:\.[A-Za-z][A-Za-z0-9]*)*)|(ELS))$/.exec(
      productId,
    );
  if (match === null) return null;
  const [, major, repository, minor, words = "", els] = match;
  return stream(major, minor, els === undefined ? channelOf(words) : "extended", repository);
}

/** ".Z.MAIN.EUS" and ".GA" are the main stream. */
function channelOf(words: string): ProductStream["channel"] {
  return /\.MAIN\b/.test(words) || /^(?:\.GA|\.Z)?$/i.test(words) ? "main" : "extended";
}

function stream(
  major: string | undefined,
  minor: string | undefined,
  channel: ProductStream["channel"],
  repository: string | undefined,
): ProductStream {
  return {
    major: Number(major),
    minor: minor === undefined ? null : Number(minor),
    channel,
    repository: (repository ?? "").toLowerCase(),
  };
}
