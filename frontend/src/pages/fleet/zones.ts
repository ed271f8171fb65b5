// Where the squares of the map are: zones by name, pools in them, names in natural order.

import { useRef } from 'preact/hooks'
import type { Cell } from './types'

const compare = new Intl.Collator('en', { numeric: true }).compare

export interface Pool {
  pool: string
  names: string[]
}

export interface Zone {
  zone: string
  pools: Pool[]
}

/** The zones of these cells, made anew only when a node came, left or moved: sorting is slow. */
export function useZones(cells: Cell[]): Zone[] {
  const made = useRef<{ cells: Cell[]; zones: Zone[] } | null>(null)
  if (made.current && isSamePlace(made.current.cells, cells)) return made.current.zones
  made.current = { cells, zones: zonesOf(cells) }
  return made.current.zones
}

/** The name of the first square; empty if there is none. */
export function firstOf(zones: Zone[]): string {
  return zones[0]?.pools[0]?.names[0] ?? ''
}

function isSamePlace(old: Cell[], now: Cell[]): boolean {
  return (
    old.length === now.length &&
    now.every((cell, index) => {
      const was = old[index]
      return was?.name === cell.name && was.zone === cell.zone && was.pool === cell.pool
    })
  )
}

function zonesOf(cells: Cell[]): Zone[] {
  return grouped(cells, (cell) => cell.zone).map(([zone, inZone]) => ({
    zone,
    pools: grouped(inZone, (cell) => cell.pool).map(([pool, inPool]) => ({
      pool,
      names: inPool.map((cell) => cell.name).sort(compare),
    })),
  }))
}

function grouped(cells: Cell[], key: (cell: Cell) => string): [string, Cell[]][] {
  const found = new Map<string, Cell[]>()
  for (const cell of cells) {
    const group = found.get(key(cell))
    if (group) group.push(cell)
    else found.set(key(cell), [cell])
  }
  return [...found].sort(([a], [b]) => compare(a, b))
}
