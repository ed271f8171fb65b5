// Journal: who did what when, by which door, and what became of it.

import { useSignal } from '@preact/signals'
import { useCallback } from 'preact/hooks'
import { age, counted, moment, span } from '../../format'
import { LiveNotes, LivePill } from '../../parts/LiveState'
import { Note } from '../../parts/Note'
import { Search } from '../../parts/Search'
import { Status } from '../../parts/Status'
import { useLive } from '../../parts/useLive'
import { Windowed, type Column } from '../../parts/Windowed'
import { adjust, at, base, place } from '../../router'

interface Head {
  total: number
  matching: number
  from: number
  /** Not while the console does not know which runs are this cluster's. */
  knowsAll: boolean
}

interface Line {
  id: string
  procedure: string
  what: string
  person: string
  door: string
  startedAt: string
  finishedAt: string | null
  outcome: string
  isHere: boolean
}

const COLUMNS: Column[] = [
  { key: 'id', title: 'Run' },
  { key: 'outcome', title: 'Outcome' },
  { key: 'what', title: 'What' },
  { key: 'who', title: 'Who' },
  { key: 'when', title: 'When' },
  { key: 'took', title: 'Took', isNumber: true, isWide: true },
  { key: 'plan', title: 'Plan' },
]

const OUTCOMES: Record<string, string> = {
  Running: 'Begun',
  Succeeded: 'Done',
  Unfinished: 'waiting',
  Interrupted: 'waiting',
  Aborting: 'waiting',
  Aborted: 'Undone',
  Incomplete: 'waiting',
}

export function JournalPage() {
  const q = place.value.query.get('q') ?? ''
  const range = useSignal<[number, number]>([0, 60])
  const live = useLive('journal', { q, from: String(range.value[0]), to: String(range.value[1]) })
  const onWindow = useCallback((from: number, to: number) => (range.value = [from, to]), [])
  void live.version.value
  const head = live.get<Head>('head')
  const lines = live.order.map((key) => live.get<Line>(key)).filter((line): line is Line => line !== undefined)
  return (
    <div class="page">
      <div class="title-row">
        <h1>Journal</h1>
        {head && <p class="dim">{counted(head.total, 'run')}</p>}
        <span class="grow" />
        <LivePill live={live} />
      </div>
      <LiveNotes live={live} />
      {head && head.total === 0 && !head.knowsAll && (
        <Note tone="wait" title="Which runs are of this cluster is known once it has been seen" />
      )}
      {head && head.total === 0 && head.knowsAll && (
        <Note
          tone="info"
          title={base ? 'Nothing has been run in this cluster from here' : 'The journal of this machine is empty'}
          hint="It tells of every drain, maintenance, upgrade and restore that is begun here, from the console or the command line."
        >
          <a class="button primary" href={at('/fleet')}>
            To the fleet
          </a>
        </Note>
      )}
      {!head && !live.trouble.value && !live.problem.value && live.missing.value.length === 0 && (
        <div class="skeleton" aria-busy="true" aria-label="Loading" />
      )}
      {head && head.total > 0 && (
        <>
          <div class="tools">
            <Search value={q} label="Filter runs" hint="Filter: a name, failed, console …" onChange={(text) => adjust({ q: text })} />
          </div>
          {head.matching === 0 ? (
            <Note tone="info" title="No run is found by this filter">
              <button class="button" onClick={() => adjust({ q: '' })}>
                Show all runs
              </button>
            </Note>
          ) : (
            <Windowed
              label="Runs"
              name="runs"
              columns={COLUMNS}
              total={head.matching}
              from={head.from}
              rows={lines}
              sort=""
              onSort={() => undefined}
              onWindow={onWindow}
              render={(line) => (
                <tr key={line.id}>
                  <th scope="row">
                    <a href={at(`/run/${encodeURIComponent(line.id)}`)}>{line.id}</a>
                  </th>
                  <td>
                    <Status state={OUTCOMES[line.outcome] ?? 'Failed'} word={line.outcome} />
                  </td>
                  <td title={line.what}>
                    {line.what}
                    {!line.isHere && <span class="dim"> (another cluster)</span>}
                  </td>
                  <td title={line.person}>
                    {line.person || <span class="dim">unknown</span>} <span class="dim">{line.door}</span>
                  </td>
                  <td title={moment(line.startedAt)}>{age(line.startedAt)} ago</td>
                  <td class="number wide-only">
                    {line.finishedAt ? span((Date.parse(line.finishedAt) - Date.parse(line.startedAt)) / 1000) : '–'}
                  </td>
                  <td>
                    <a href={at(`/run/${encodeURIComponent(line.id)}?plan=open`)} aria-label={`Plan of ${line.id}`}>
                      Plan
                    </a>
                  </td>
                </tr>
              )}
            />
          )}
        </>
      )}
    </div>
  )
}
