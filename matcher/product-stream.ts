/** Where a product of Red Hat Enterprise Linux stands, read from its id in a VEX document. */
export interface ProductStream {
  readonly major: number;
  /** null: the whole major release, as unfixed packages of the legacy feed have it. */
  readonly minor: number | null;
  /** "main" is the stream that every subscription reaches; extended ones have their own repositories. */
  readonly channel: "main" | "eus" | "aus" | "e4s" | "tus" | "els" | "other";
  /** "baseos", "appstream", …; "" where the id does not say. */
  readonly repository: string;
}

/**
 * GA ids: "rhel-9.8::baseos", "rhel-9.4.z.eus", "rhel-8.2.0.z.aus", "rhel-br-9.8::baseos", "rhel-7-els.els", "rhel-8".
 * Legacy ids of unfixed packages: "red_hat_enterprise_linux_9"; of fixed ones: "BaseOS-9.2.0.Z.MAIN.EUS", "AppStream-8.6.0.Z.EUS".
 * Null for products that are not RHEL itself.
 */
export function parseProductStream(productId: string): ProductStream | null {
  return parseGa(productId) ?? parseLegacyUnfixed(productId) ?? parseLegacyFixed(productId);
}

function parseGa(productId: string): ProductStream | null {
  const match = /^rhel-(?:br-)?(\d+)(?:\.(\d+))?(?:\.\d+)?(?:-els)?(?:\.z)?(?:\.(eus|aus|e4s|tus|els))?(?:\.[a-z]+)?(?:::(.+))?$/.exec(
    productId,
  );
  if (match === null) return null;
  const [, major, minor, channel, repository = ""] = match;
  return { major: Number(major), minor: minor === undefined ? null : Number(minor), channel: channelOf(channel), repository };
}

function parseLegacyUnfixed(productId: string): ProductStream | null {
  const major = /^red_hat_enterprise_linux_(\d+)$/.exec(productId)?.[1];
  return major === undefined ? null : { major: Number(major), minor: null, channel: "main", repository: "" };
}

function parseLegacyFixed(productId: string): ProductStream | null {
  const match = /^([A-Za-z]+)-(\d+)\.(\d+)\.[\dA-Za-z]+(?:\.Z)?(?:\.(MAIN|EUS|AUS|E4S|TUS|ELS|GA))?/.exec(productId);
  if (match === null) return null;
  const [, repository = "", major, minor, channel] = match;
  return { major: Number(major), minor: Number(minor), channel: channelOf(channel?.toLowerCase()), repository: repository.toLowerCase() };
}

function channelOf(word: string | undefined): ProductStream["channel"] {
  switch (word) {
    case undefined:
    case "main":
    case "ga":
      return "main";
    case "eus":
    case "aus":
    case "e4s":
    case "tus":
    case "els":
      return word;
    default:
      return "other";
  }
}
