import { age } from '../../format'
import { Status } from '../../parts/Status'
import { Windowed, type Column } from '../../parts/Windowed'
import { adjust } from '../../router'
import { memo } from './memo'
import type { Head, Row } from './types'

const COLUMNS: Column[] = [
  { key: 'select', width: '3rem', title: '' },
  { key: 'name', width: '14%', title: 'Node', sort: 'name' },
  { key: 'fitness', width: '11%', title: 'State', sort: 'fitness' },
  { key: 'zone', width: '9%', title: 'Zone', sort: 'zone' },
  { key: 'pool', width: '9%', title: 'Pool', sort: 'pool', isWide: true },
  { key: 'kubelet', width: '9%', title: 'Version', sort: 'version' },
  { key: 'kernel', width: '11%', title: 'Kernel', sort: 'kernel', isWide: true },
  { key: 'pods', width: '6%', title: 'Pods', sort: 'pods', isNumber: true },
  { key: 'age', width: '6%', title: 'Age', sort: 'age', isWide: true, isNumber: true },
  { key: 'obstacles', width: '22%', title: 'A drain is hindered by', sort: '-obstacles' },
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
        <NodeLine
          key={row.name}
          row={row}
          age={age(row.created)}
          isSelected={props.selected.has(row.name)}
          isOpened={props.opened === row.name}
          onSelect={props.onSelect}
          onOpen={props.onOpen}
        />
      )}
    />
  )
}

interface LineProps {
  row: Row
  age: string
  isSelected: boolean
  isOpened: boolean
  onSelect: (name: string) => void
  onOpen: (name: string) => void
}

const NodeLine = memo<LineProps>(
  ({ row, age, isSelected, isOpened, onSelect, onOpen }) => (
    <tr
      class={`${isSelected ? 'selected' : ''} ${isOpened ? 'opened' : ''}`}
      onClick={(event) => {
        if (!(event.target as Element).closest('input, button, a')) onOpen(row.name)
      }}
    >
      <td class="tick">
        <input
          type="checkbox"
          aria-label={`Select ${row.name}`}
          checked={isSelected}
          onChange={() => onSelect(row.name)}
        />
      </td>
      <th scope="row">
        <button class="link" onClick={() => onOpen(row.name)} title={row.name}>
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
      <td class="wide-only number">{age}</td>
      <td class="obstacles" title={row.obstacles}>
        {row.obstacles || <span class="dim">nothing</span>}
      </td>
    </tr>
  ),
  // What it calls does the same for the life of the page.
  (old, now) =>
    old.row === now.row &&
    old.age === now.age &&
    old.isSelected === now.isSelected &&
    old.isOpened === now.isOpened,
)
