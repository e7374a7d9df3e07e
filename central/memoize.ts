/** Computes once per object, for as long as the object lives. */
export function memoize<From extends object, To extends object>(compute: (from: From) => To): (from: From) => To {
  const known = new WeakMap<From, To>();
  return (from) => {
    const value = known.get(from) ?? compute(from);
    known.set(from, value);
    return value;
  };
}
