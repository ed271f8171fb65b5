import type { Missing } from '../../stream'

export interface Head {
  readAt: string
  missing: Missing[]
  gaps: { what: string; why: string }[]
  unread: { what: string; why: string }[]
}

export interface PolicyHead extends Head {
  version: string
  authorizers: string[]
  isChainKnown: boolean
  bindings: number
  roles: number
  namespaces: string[]
  subjects: string[]
  resources: string[]
}

export interface Holder {
  kind: string
  name: string
  group?: string
  namespace?: string
  authorizer: string
  by: string
  rule?: string
}

export interface WhoCanAnswer extends Head {
  question: string
  total: number
  matching: number
  holders: Holder[]
  webhooks: string[]
}

export interface Leg {
  kind: string
  name: string
  detail?: string
}

export interface Explained {
  found: {
    question: string
    user: string
    groups?: string[]
    answer: { decision: string; authorizer?: string; rule?: string; reason?: string; error?: string; unasked?: string[] }
    words?: { authorizer: string; decision: string; rule?: string; reason?: string; error?: string }[]
    nearMisses?: { what: string; mend: string; role?: unknown; binding?: unknown }[]
  }
  allowed: boolean
  known: boolean
  path: Leg[]
}

export interface Ahead {
  goal: string
  steps: number
}

export interface Onward {
  kind: string
  name: string
  path: number
  how: string
  bindings?: string[]
  ahead?: Ahead[]
}

export interface Crossing {
  kind: string
  name: string
  ahead: Ahead[]
  onward: Onward[]
  leftOut: number
}

export interface Way {
  rule: string
  severity: 'critical' | 'high' | 'medium' | 'low'
  target: string
  message: string
  evidence: string[]
  goal: string
  cut?: string
  remedy?: string
  breaks?: string[]
}

export const GOALS: Record<string, { word: string; tone: string }> = {
  'cluster-admin': { word: 'cluster-admin', tone: 'bad' },
  'node-root': { word: 'root on nodes', tone: 'down' },
  'every-secret': { word: 'every Secret', tone: 'wait' },
  'others-workload': { word: "others' workload", tone: 'busy' },
}

/** Whether something that decides could not be read, so that an answer may be wrong. */
export function isUnsure(head: Head): boolean {
  return head.gaps.some((each) => each.what !== 'authorizers')
}

/** Whether something that ways to more power lead through could not be read, so that some may be missing. */
export function isPartial(head: Head): boolean {
  return isUnsure(head) || head.unread.length > 0
}
