// The clusters of this console, where there are several.

import { askConsole } from './api'

export interface Cluster {
  name: string
  path: string
  isIn: boolean
  state: 'Live' | 'Stale' | 'Away' | null
  why: string
}

export interface Clusters {
  way: 'link' | 'token'
  clusters: Cluster[]
}

export function askClusters(): Promise<Clusters> {
  return askConsole<Clusters>('/api/clusters')
}

/** Those whose name has these letters. */
export function named(clusters: Cluster[], letters: string): Cluster[] {
  return clusters.filter((each) => each.name.toLowerCase().includes(letters.trim().toLowerCase()))
}
