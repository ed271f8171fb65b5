// A table of any length of which only the rows in sight exist; the server sends no others.

import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'

const ROW = 44 // pixels of a row before one is there to be measured
const SPARE = 10 // rows above and below those in sight

export interface Column {
  key: string
  title: string
  sort?: string
  /** Of a table whose columns are of fixed widths. */
  width?: string
  isWide?: boolean
  isNumber?: boolean
}

export function Windowed<Row>(props: {
  label: string
  /** The class by which its rows are laid out on a phone, all of one height. */
  name: string
  columns: Column[]
  total: number
  from: number
  rows: Row[]
  sort: string
  onSort: (sort: string) => void
  onWindow: (from: number, to: number) => void
  render: (row: Row) => ComponentChildren
}) {
  const body = useRef<HTMLTableSectionElement>(null)
  const told = useRef('')
  const [rowHeight, setRowHeight] = useState(ROW)
  const { total, onWindow } = props

  useEffect(() => {
    function look() {
      const element = body.current
      if (!element) return
      const top = element.getBoundingClientRect().top
      setRowHeight(element.querySelector<HTMLElement>('tr:not(.spacer)')?.offsetHeight || ROW)
      const first = Math.max(0, Math.floor(-top / rowHeight) - SPARE)
      const last = Math.ceil((window.innerHeight - top) / rowHeight) + SPARE
      // In steps, so that not every pixel of scrolling asks anew.
      const from = Math.floor(first / 10) * 10
      const to = Math.min(Math.ceil(Math.max(last, 20) / 10) * 10, Math.max(total, 60))
      if (told.current === `${from}-${to}`) return
      told.current = `${from}-${to}`
      onWindow(from, to)
    }
    look()
    window.addEventListener('scroll', look, { passive: true })
    window.addEventListener('resize', look)
    return () => {
      window.removeEventListener('scroll', look)
      window.removeEventListener('resize', look)
    }
  }, [total, rowHeight, onWindow])

  const above = props.from * rowHeight
  const below = Math.max(0, total - props.from - props.rows.length) * rowHeight
  return (
    <table class={`table ${props.name}`} aria-label={props.label} aria-rowcount={total + 1}>
      <thead>
        <tr>
          {props.columns.map((column) => (
            <th
              scope="col"
              class={`${column.isWide ? 'wide-only' : ''} ${column.isNumber ? 'number' : ''}`}
              style={column.width ? { width: column.width } : undefined}
              aria-sort={sortOf(props.sort, column.sort)}
            >
              {column.sort ? (
                <button class="sort" onClick={() => props.onSort(turned(props.sort, column.sort ?? ''))}>
                  {column.title}
                  <span aria-hidden="true">{arrow(props.sort, column.sort)}</span>
                </button>
              ) : (
                column.title
              )}
            </th>
          ))}
        </tr>
      </thead>
      <tbody ref={body}>
        {above > 0 && <tr class="spacer" aria-hidden="true" style={{ height: `${above}px` }} />}
        {props.rows.map(props.render)}
        {below > 0 && <tr class="spacer" aria-hidden="true" style={{ height: `${below}px` }} />}
      </tbody>
    </table>
  )
}

function sortOf(sort: string, own: string | undefined): 'ascending' | 'descending' | undefined {
  if (own === undefined || sort.replace(/^-/, '') !== own) return undefined
  return sort.startsWith('-') ? 'descending' : 'ascending'
}

function turned(sort: string, own: string): string {
  return sort === own ? `-${own}` : own
}

function arrow(sort: string, own: string): string {
  return sort === own ? ' ↑' : sort === `-${own}` ? ' ↓' : ''
}
