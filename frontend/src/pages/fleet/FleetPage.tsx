// Fleet: the nodes as a map and as a table; choose some, and see what a maintenance of them means.

import { useSignal } from '@preact/signals'
import { useCallback, useEffect, useMemo } from 'preact/hooks'
import { counted } from '../../format'
import { onKey } from '../../keys'
import { LiveNotes, LivePill } from '../../parts/LiveState'
import { Note } from '../../parts/Note'
import { Search } from '../../parts/Search'
import { looksOf } from '../../parts/Status'
import { useLive } from '../../parts/useLive'
import { adjust, place } from '../../router'
import type { Live } from '../../stream'
import { FleetMap } from './FleetMap'
import { FleetTable } from './FleetTable'
import { NodeDrawer } from './NodeDrawer'
import { PlanPanel } from './PlanPanel'
import { SelectionBar } from './SelectionBar'
import type { Cell, Detail, Head, Row } from './types'

const KINDS = ['ready', 'waiting', 'blocked', 'cordoned', 'down']

export function FleetPage() {
  const asked = place.value.query
  const q = asked.get('q') ?? ''
  const sort = asked.get('sort') ?? 'fitness'
  const node = asked.get('node') ?? ''
  const range = useSignal<[number, number]>([0, 60])
  const live = useLive('fleet', {
    q,
    sort,
    node,
    from: String(range.value[0]),
    to: String(range.value[1]),
  })
  const selected = useSignal<ReadonlySet<string>>(new Set())
  const isPlanning = useSignal(false)
  const setSelected = useCallback((names: ReadonlySet<string>) => (selected.value = names), [])
  const select = useCallback((names: string[], add: boolean) => {
    selected.value = add ? new Set([...selected.value, ...names]) : toggled(selected.value, names)
  }, [])
  const onWindow = useCallback((from: number, to: number) => (range.value = [from, to]), [])
  const open = useCallback((name: string) => adjust({ node: name }), [])

  void live.version.value
  const head = live.get<Head>('head')
  const detail = live.get<Detail>('detail')
  useEffect(() => onKey('Escape', 'close what is open', () => adjust({ node: '' })), [])

  return (
    <div class="page">
      <div class="title-row">
        <h1>Fleet</h1>
        {head && <p class="dim">{`${counted(head.total, 'node')}, ${counted(head.pods, 'pod')}`}</p>}
        <span class="grow" />
        <LivePill live={live} />
      </div>
      <LiveNotes live={live} />
      {isPlanning.value && selected.value.size > 0 && (
        <PlanPanel nodes={[...selected.value]} onClose={() => (isPlanning.value = false)} />
      )}
      {head && head.total > 0 && (
        <Found
          live={live}
          head={head}
          q={q}
          sort={sort}
          node={node}
          selected={selected.value}
          setSelected={setSelected}
          select={select}
          onWindow={onWindow}
          open={open}
        />
      )}
      {head && head.total === 0 && <NoNodes />}
      {!head && !live.trouble.value && live.missing.value.length === 0 && (
        <div class="skeleton" aria-busy="true" aria-label="Loading" />
      )}
      {node && detail && detail.row.name === node && (
        <NodeDrawer
          detail={detail}
          isSelected={selected.value.has(node)}
          onSelect={() => select([node], false)}
          onClose={() => adjust({ node: '' })}
        />
      )}
      {!isPlanning.value && (
        <SelectionBar
          selected={selected.value}
          clear={() => setSelected(new Set())}
          plan={() => {
            isPlanning.value = true
            window.scrollTo({ top: 0 })
          }}
        />
      )}
    </div>
  )
}

function Found(props: {
  live: Live
  head: Head
  q: string
  sort: string
  node: string
  selected: ReadonlySet<string>
  setSelected: (names: ReadonlySet<string>) => void
  select: (names: string[], add: boolean) => void
  onWindow: (from: number, to: number) => void
  open: (name: string) => void
}) {
  const { live, head, q, sort, selected, setSelected, open } = props
  const cells = live.list<Cell>('cell/')
  const rows = useMemo(
    () => live.order.map((key) => live.get<Row>(key)).filter((row): row is Row => row !== undefined),
    [live.version.value],
  )
  const matching = () => cells.filter((each) => each.match).map((each) => each.name)
  return (
    <>
      <div class="tools">
        <Search
          value={q}
          label="Filter nodes"
          hint="Filter: name, zone:a, is:blocked …"
          onChange={(text) => adjust({ q: text })}
        />
        <div class="chips" role="group" aria-label="Filter by state">
          {KINDS.filter((kind) => head.fitness[kind]).map((kind) => (
            <Chip
              kind={kind}
              count={head.fitness[kind] ?? 0}
              isOn={q === `is:${kind}`}
              toggle={() => adjust({ q: q === `is:${kind}` ? '' : `is:${kind}` })}
            />
          ))}
        </div>
        <span class="grow" />
        <button class="button" onClick={() => setSelected(new Set(matching()))}>
          {q ? `Select the ${head.matching} found` : 'Select all'}
        </button>
      </div>
      <FleetMap
        cells={cells}
        selected={selected}
        onSelect={props.select}
        onOpen={open}
      />
      {head.matching === 0 ? (
        <Note tone="info" title="No node is found by this filter">
          <button class="button" onClick={() => adjust({ q: '' })}>
            Show all nodes
          </button>
        </Note>
      ) : (
        <FleetTable
          head={head}
          rows={rows}
          sort={sort}
          selected={selected}
          opened={props.node}
          onSelect={(name) => props.select([name], false)}
          onOpen={open}
          onWindow={props.onWindow}
        />
      )}
    </>
  )
}

function Chip(props: { kind: string; count: number; isOn: boolean; toggle: () => void }) {
  const looks = looksOf(props.kind)
  return (
    <button class={`chip ${looks.tone}`} aria-pressed={props.isOn} onClick={props.toggle}>
      <span class="shape" aria-hidden="true">
        {looks.shape}
      </span>
      {looks.word} <span class="count">{props.count.toLocaleString()}</span>
    </button>
  )
}

function NoNodes() {
  return (
    <Note
      tone="info"
      title="This cluster has no nodes yet"
      hint="They show here as soon as a kubelet registers. To try things on hollow nodes:"
    >
      <code>shipkeeper sandbox up --nodes 12 --zones 3</code>
    </Note>
  )
}

function toggled(selected: ReadonlySet<string>, names: string[]): ReadonlySet<string> {
  const result = new Set(selected)
  const isAllIn = names.every((name) => result.has(name))
  for (const name of names) {
    if (isAllIn) result.delete(name)
    else result.add(name)
  }
  return result
}
