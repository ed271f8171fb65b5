import type { Missing } from '../../stream'
import type { ProblemBody } from '../../api'

export interface Finding {
  reason: string
  blob: string
  message: string
}

export interface Listed {
  row: {
    name: string
    created: string
    state: string
    contents: { version: string; cluster: string; server: string; kinds: { objects: number }[]; unreadable?: { what: string; message: string }[] } | null
    contentBytes: number | null
    addedBytes: number | null
  }
  verifiedAt: string | null
  harm: Finding[]
}

export interface Snapshot {
  name: string
  created: string
  size: number | null
  addedBytes: number | null
  version: string | null
  endpoint: string | null
  isDamaged: boolean
}

export interface BackupList {
  url: string | null
  isReadable: boolean
  backups: Listed[]
  snapshots: Snapshot[]
  verified: { at: string; depth: string; findings: Finding[] } | null
  verifying: { done: number; total: number; error: ProblemBody | null } | null
}

export interface Row {
  kind: string
  namespace: string
  name: string
  size: number
}

export interface Objects {
  title: string
  total: number
  kinds: { name: string; objects: number }[]
  namespaces: { name: string; objects: number }[]
  matching: number
  first: number
  rows: Row[]
  missing: Missing[]
}

export interface Planned {
  action: string
  kind: string
  namespace: string
  name: string
  reason: string
  message: string
  remedy: string
}

export interface RestorePlan {
  counts: Record<string, number>
  objects: Planned[]
  leftOut: number
  hasWork: boolean
  digest: string
  wasAsked: boolean
  command: string
  missing: Missing[]
}

export interface Change {
  change: 'Added' | 'Removed' | 'Changed'
  kind: string
  namespace: string
  name: string
  fields: { field: string; old: string | null; new: string | null }[]
}

export interface Diff {
  old: string
  new: string
  total: number
  changes: Change[]
  notCompared: Record<string, string>
  missing: Missing[]
}

const SNAPSHOT = 'etcd:'

/** What a snapshot of etcd is called where a backup could be meant as well. */
export function pointOf(snapshot: Snapshot): string {
  return SNAPSHOT + snapshot.name
}

export function isSnapshot(point: string): boolean {
  return point.startsWith(SNAPSHOT)
}

/** The newest backup, or where there is none the newest snapshot. */
export function newest(list: BackupList): string {
  const snapshot = list.snapshots[0]
  return list.backups[0]?.row.name ?? (snapshot ? pointOf(snapshot) : '')
}

/** The command that brings one object back out of a snapshot. */
export function getCommand(point: string, row: Row): string {
  const words = ['shipkeeper etcd get', `repo:${point.slice(SNAPSHOT.length)}`, row.kind, row.name]
  if (row.namespace) words.push('-n', row.namespace)
  return `${words.join(' ')} --repo URL --identity FILE | kubectl apply -f -`
}

export function keyOf(row: { kind: string; namespace: string; name: string }): string {
  return [row.kind, row.namespace, row.name].filter(Boolean).join('/')
}

export function bytes(count: number | null): string {
  if (count === null) return 'sealed'
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let value = count
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit && value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString()} ${units[unit]}`
}
