// The map: zones as areas, pools in them, a square for each node. Draw a frame to choose many.

import { signal, type Signal } from '@preact/signals'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { tellKey } from '../../keys'
import { looksOf } from '../../parts/Status'
import { memo } from './memo'
import type { Cell } from './types'
import { firstOf, useZones, type Zone } from './zones'

interface Frame {
  left: number
  top: number
  right: number
  bottom: number
}

const FAR = 5 // pixels after which a press is a frame being drawn

export function FleetMap(props: {
  cells: Cell[]
  selected: ReadonlySet<string>
  onSelect: (names: string[], add: boolean) => void
  onOpen: (name: string) => void
}) {
  const map = useRef<HTMLDivElement>(null)
  const start = useRef<{ x: number; y: number } | null>(null)
  const [frame, setFrame] = useState<Frame | null>(null)
  const [walked, setWalked] = useState('')
  const zones = useZones(props.cells)
  // Ten times a second a few of a thousand change: each is told to its own square.
  const shown = useMemo(() => new Map(props.cells.map((cell) => [cell.name, signal(cell)])), [zones])
  for (const cell of props.cells) {
    const known = shown.get(cell.name)
    if (known) known.value = cell
  }
  const isDense = props.cells.length > 200
  // One stop for Tab, however many nodes there are; arrows walk from there.
  const stop = shown.has(walked) ? walked : firstOf(zones)

  useEffect(() => {
    const ends = [
      tellKey('← ↑ ↓ →', 'walk on the map'),
      tellKey('Space', 'choose the node, or leave it out'),
      tellKey('Enter', 'open the node'),
    ]
    return () => ends.forEach((end) => end())
  }, [])

  function drawn(event: PointerEvent): Frame | null {
    const from = start.current
    if (!from || Math.hypot(event.clientX - from.x, event.clientY - from.y) < FAR) return null
    return {
      left: Math.min(from.x, event.clientX),
      top: Math.min(from.y, event.clientY),
      right: Math.max(from.x, event.clientX),
      bottom: Math.max(from.y, event.clientY),
    }
  }

  function inside(box: Frame): string[] {
    const squares = map.current?.querySelectorAll<HTMLElement>('[data-node]') ?? []
    return [...squares]
      .filter((square) => {
        const at = square.getBoundingClientRect()
        return at.left < box.right && at.right > box.left && at.top < box.bottom && at.bottom > box.top
      })
      .map((square) => square.dataset['node'] ?? '')
  }

  return (
    <section
      class={`map ${isDense ? 'dense' : ''}`}
      aria-label="Map of nodes by zone and pool"
      ref={map}
      onPointerDown={(event) => {
        if (event.pointerType === 'mouse' && event.button === 0) start.current = { x: event.clientX, y: event.clientY }
      }}
      onPointerMove={(event) => {
        const box = drawn(event)
        if (box) {
          map.current?.setPointerCapture(event.pointerId)
          setFrame(box)
        }
      }}
      onPointerUp={(event) => {
        const box = drawn(event)
        start.current = null
        setFrame(null)
        if (box) props.onSelect(inside(box), true)
      }}
      onPointerCancel={() => {
        start.current = null
        setFrame(null)
      }}
      onClick={(event) => {
        const name = nodeAt(event)
        if (name) props.onSelect([name], false)
      }}
      onDblClick={(event) => {
        const name = nodeAt(event)
        if (name) props.onOpen(name)
      }}
      onKeyDown={(event) => {
        const name = nodeAt(event)
        if (name && event.key === 'Enter') props.onOpen(name)
        else if (name && event.key === ' ') {
          // A key that is held is one choice.
          if (!event.repeat) props.onSelect([name], false)
        } else return moveFocus(event)
        event.preventDefault()
      }}
      onFocusCapture={(event) => setWalked(nodeAt(event) || walked)}
    >
      <Zones zones={zones} shown={shown} selected={props.selected} stop={stop} />
      {frame && (
        <div
          class="frame-drawn"
          style={{
            left: `${frame.left}px`,
            top: `${frame.top}px`,
            width: `${frame.right - frame.left}px`,
            height: `${frame.bottom - frame.top}px`,
          }}
        />
      )}
    </section>
  )
}

interface ZonesProps {
  zones: Zone[]
  shown: ReadonlyMap<string, Signal<Cell>>
  selected: ReadonlySet<string>
  stop: string
}

const Zones = memo<ZonesProps>(
  ({ zones, shown, selected, stop }) =>
    zones.map(({ zone, pools }) => (
      <div class="zone" key={zone}>
        <h2>{zone || 'No zone'}</h2>
        {pools.map(({ pool, names }) => (
          <div class="pool" key={pool}>
            <h3>
              {pool || 'no pool'} <span class="dim">{names.length}</span>
            </h3>
            <div class="squares">
              {names.map((name) => (
                <Square
                  key={name}
                  shown={shown.get(name) as Signal<Cell>}
                  isSelected={selected.has(name)}
                  isStop={name === stop}
                />
              ))}
            </div>
          </div>
        ))}
      </div>
    )),
  (old, now) => old.shown === now.shown && old.selected === now.selected && old.stop === now.stop,
)

function Square(props: { shown: Signal<Cell>; isSelected: boolean; isStop: boolean }) {
  const cell = props.shown.value
  const looks = looksOf(cell.fitness)
  const words = `${cell.name}: ${looks.word}`
  return (
    // A thousand real buttons would cost twice the memory: each has boxes of its own inside.
    <div
      role="button"
      class={`square ${looks.tone} ${cell.match ? '' : 'faint'}`}
      data-node={cell.name}
      title={words}
      aria-label={words}
      aria-pressed={props.isSelected}
      tabIndex={props.isStop ? 0 : -1}
    >
      {looks.shape}
    </div>
  )
}

/** The node whose square an event is about; empty if it is about none. */
function nodeAt(event: Event): string {
  return (event.target as HTMLElement).closest<HTMLElement>('[data-node]')?.dataset['node'] ?? ''
}

/** Arrow keys walk from square to square: on and back, and to the nearest one above and below. */
function moveFocus(event: KeyboardEvent): void {
  const from = (event.target as HTMLElement).closest<HTMLElement>('[data-node]')
  if (!from) return
  const all = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('[data-node]')]
  const ways: Record<string, () => HTMLElement | undefined> = {
    ArrowRight: () => all[all.indexOf(from) + 1],
    ArrowLeft: () => all[all.indexOf(from) - 1],
    ArrowDown: () => nearest(from, all, 1),
    ArrowUp: () => nearest(from, all, -1),
    Home: () => all[0],
    End: () => all.at(-1),
  }
  const way = ways[event.key]
  if (!way) return
  event.preventDefault()
  way()?.focus()
}

/** The square that is next below (1) or above (-1), rather straight than near. */
function nearest(from: HTMLElement, all: HTMLElement[], side: 1 | -1): HTMLElement | undefined {
  const here = from.getBoundingClientRect()
  let found: HTMLElement | undefined
  let least = Infinity
  for (const each of all) {
    const there = each.getBoundingClientRect()
    const down = (there.top - here.top) * side
    if (down < here.height / 2) continue
    const far = down + 2 * Math.abs(there.left - here.left)
    if (far < least) [found, least] = [each, far]
  }
  return found
}
