// The map: zones as areas, pools in them, a square for each node. Draw a frame to choose many.

import { memo } from './memo'
import { useRef, useState } from 'preact/hooks'
import { looksOf } from '../../parts/Status'
import type { Cell } from './types'

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
  const zones = grouped(props.cells, (cell) => cell.zone)
  const isDense = props.cells.length > 200

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
      onKeyDown={moveFocus}
    >
      {zones.map(([zone, inZone]) => (
        <div class="zone">
          <h2>{zone || 'No zone'}</h2>
          {grouped(inZone, (cell) => cell.pool).map(([pool, inPool]) => (
            <div class="pool">
              <h3>
                {pool || 'no pool'} <span class="dim">{inPool.length}</span>
              </h3>
              <div class="squares">
                {inPool.map((cell) => (
                  <Square
                    key={cell.name}
                    cell={cell}
                    isSelected={props.selected.has(cell.name)}
                    onSelect={props.onSelect}
                    onOpen={props.onOpen}
                  />
                ))}
              </div>
            </div>
          ))}
        </div>
      ))}
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

interface SquareProps {
  cell: Cell
  isSelected: boolean
  onSelect: (names: string[], add: boolean) => void
  onOpen: (name: string) => void
}

const Square = memo<SquareProps>(
  ({ cell, isSelected, onSelect, onOpen }) => {
    const looks = looksOf(cell.fitness)
    const words = `${cell.name}: ${looks.word}`
    return (
      <button
        class={`square ${looks.tone} ${cell.match ? '' : 'faint'}`}
        data-node={cell.name}
        title={words}
        aria-label={words}
        aria-pressed={isSelected}
        onClick={() => onSelect([cell.name], false)}
        onDblClick={() => onOpen(cell.name)}
        onKeyDown={(event) => {
          if (event.key !== 'Enter') return
          event.preventDefault()
          onOpen(cell.name)
        }}
      >
        <span aria-hidden="true">{looks.shape}</span>
      </button>
    )
  },
  (old, now) => old.cell === now.cell && old.isSelected === now.isSelected && (old.onSelect === now.onSelect || old.isSelected === now.isSelected),
)

function grouped(cells: Cell[], key: (cell: Cell) => string): [string, Cell[]][] {
  const found = new Map<string, Cell[]>()
  for (const cell of cells) {
    const group = found.get(key(cell))
    if (group) group.push(cell)
    else found.set(key(cell), [cell])
  }
  return [...found].sort(([a], [b]) => compare(a, b)).map(([name, group]) => [name, group.sort((a, b) => compare(a.name, b.name))])
}

const collator = new Intl.Collator('en', { numeric: true })

function compare(a: string, b: string): number {
  return collator.compare(a, b)
}

/** Arrow keys walk from square to square. */
function moveFocus(event: KeyboardEvent): void {
  const steps: Record<string, number> = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }
  const step = steps[event.key]
  const from = (event.target as HTMLElement).closest<HTMLElement>('[data-node]')
  if (!step || !from) return
  const all = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('[data-node]')]
  event.preventDefault()
  all[all.indexOf(from) + step]?.focus()
}
