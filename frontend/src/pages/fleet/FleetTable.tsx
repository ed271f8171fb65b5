import { age } from '../../format'
import { Status } from '../../parts/Status'
import { Windowed, type Column } from '../../parts/Windowed'
import { adjust } from '../../router'
import type { Head, Row } from './types'

const COLUMNS: Column[] = [
  { key: 'select', title: '' },
  { key: 'name', title: 'Node', sort: 'name' },
  { key: 'fitness', title: 'State', sort: 'fitness' },
  { key: 'zone', title: 'Zone', sort: 'zone' },
  { key: 'pool', title: 'Pool', sort: 'pool', isWide: true },
  { key: 'kubelet', title: 'Version', sort: 'version' },
  { key: 'kernel', title: 'Kernel', sort: 'kernel', isWide: true },
  { key: 'pods', title: 'Pods', sort: 'pods', isNumber: true },
  { key: 'age', title: 'Age', sort: 'age', isWide: true, isNumber: true },
  { key: 'obstacles', title: 'A drain is hindered by', sort: '-obstacles' },
]

export function FleetTable(props: {
  head: Head
  rows: Row[]
  sort: string
  selected: ReadonlySet<string>
  opened: string
  onSelect: (name: string) => void
  onOpen: (name: string) => void
  onWindow: (from: number, to: number) => void
}) {
  return (
    <Windowed
      label="Nodes"
      name="nodes"
      columns={COLUMNS}
      total={props.head.matching}
      from={props.head.from}
      rows={props.rows}
      sort={props.sort}
      onSort={(sort) => adjust({ sort: sort.replace(/^--/, '') })}
      onWindow={props.onWindow}
      render={(row) => (
        <tr
          key={row.name}
          class={`${props.selected.has(row.name) ? 'selected' : ''} ${props.opened === row.name ? 'opened' : ''}`}
          onClick={(event) => {
            if (!(event.target as Element).closest('input, button, a')) props.onOpen(row.name)
          }}
        >
          <td class="tick">
            <input
              type="checkbox"
              aria-label={`Select ${row.name}`}
              checked={props.selected.has(row.name)}
              onChange={() => props.onSelect(row.name)}
            />
          </td>
          <th scope="row">
            <button class="link" onClick={() => props.onOpen(row.name)} title={row.name}>
              {row.name}
            </button>
          </th>
          <td>
            <Status state={row.fitness} />
          </td>
          <td title={row.zone}>{row.zone || '–'}</td>
          <td class="wide-only" title={row.pool}>
            {row.pool || '–'}
          </td>
          <td title={row.kubelet}>{row.kubelet || '–'}</td>
          <td class="wide-only" title={row.kernel}>
            {row.kernel || '–'}
          </td>
          <td class="number">{row.pods}</td>
          <td class="wide-only number">{age(row.created)}</td>
          <td class="obstacles" title={row.obstacles}>
            {row.obstacles || <span class="dim">nothing</span>}
          </td>
        </tr>
      )}
    />
  )
}
