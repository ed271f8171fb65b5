import type { Verdict } from '../../parts/Verdicts'

export interface Head {
  total: number
  matching: number
  from: number
  pods: number
  fitness: Record<string, number>
  versions: Record<string, number>
  poolLabel: string
}

export interface Cell {
  name: string
  zone: string
  pool: string
  fitness: string
  match: boolean
}

export interface Row {
  name: string
  zone: string
  pool: string
  fitness: string
  status: string
  kubelet: string
  kernel: string
  osImage: string
  runtime: string
  pods: number
  created: string | null
  cordonedBy: string
  obstacles: string
}

export interface Item {
  key: string
  uid: string
  action: string
  tier?: number
  verdicts?: Verdict[]
}

export interface Detail {
  row: Row
  labels: Record<string, string>
  explanation: { node: string; drainable: boolean; verdicts: Verdict[]; pods: Item[] }
}
