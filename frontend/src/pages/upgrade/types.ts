import type { Verdict } from '../../parts/Verdicts'
import type { Missing } from '../../stream'

export interface Place {
  text: string
  minor: number | null
  count: number
  nodes: string[]
  support: string
}

export interface Band {
  name: string
  places: Place[]
  breaks: Record<string, string>
}

export interface Versions {
  readAt: string
  server: string
  isManaged: boolean
  repository: string | null
  picture: { minors: number[]; bands: Band[]; others: Band[] }
  violations: { rule: string; message: string; where: string[]; remedy: string }[]
  notSeen: string[]
  endOfLife: string | null
  minor: number
  targets: { minor: number; version: string }[]
}

export interface Plan {
  target: string
  digest: string
  command: string
  words: string
  outlook: {
    hops: string[]
    drains: number
    statesProven: number
    waves: string[][]
    returnPoints: { until: string; way: string; why: string }[]
  } | null
  verdicts: Verdict[]
  isRefused: boolean
  steps: { id: string; action: string; target: string; effect: string }[]
  stepCount: number
  missing: Missing[]
}
