/** URL query text as Go's url.Values.Encode() writes it, which upstream's readers compare: pairs in the given order, a space is "+", "~" stands for itself. */
export function formatQuery(pairs: readonly (readonly [name: string, value: string])[]): string {
  return pairs.map(([name, value]) => `${escape(name)}=${escape(value)}`).join("&");
}

function escape(text: string): string {
  return encodeURIComponent(text.toWellFormed())
    .replaceAll("%20", "+")
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}
