import type { Verdict } from '../../parts/Verdicts'

export interface RunHead {
  id: string
  procedure: string
  what: string
  cluster: string
  isHere: boolean
  person: string
  door: string
  startedAt: string
  finishedAt: string | null
  outcome: string | null
  isDriven: boolean
  isPaused: boolean
  nodes: number
  leastWaves: number
  maxFailed: number | null
}

export interface Step {
  id: string
  action: string
  effect: string
  state: string
  beganAt: string | null
  endedAt: string | null
  verdict: Verdict | null
}

export interface RunNode {
  node: string
  wave: number
  state: string
  steps: Step[]
  moving: number
  moved: number
  waiting: number
  beganAt: string | null
  endedAt: string | null
}

export interface Way {
  pod: {
    uid: string
    key: string
    node: string
    state: string
    beganAt: string | null
    goneAt: string | null
    message: string
    budget: string
  }
  replacement: { key: string; node: string; createdAt: string | null; readyAt: string | null } | null
}

export interface Gauge {
  name: string
  healthy: number
  line: number
  expected: number
  allowed: number
  /** Not while nobody looked. */
  lowest: number | null
  waiting: number
}

export interface SaidNote {
  at: string
  message: string
  isWarning: boolean
}
