const PREFIX = 'system:serviceaccount:'

/** A subject's name without what its kind says already: a ServiceAccount's as namespace/name. */
export function shortName(kind: string, name: string): string {
  if (kind !== 'ServiceAccount' || !name.startsWith(PREFIX)) return name
  return name.slice(PREFIX.length).replace(':', '/')
}
