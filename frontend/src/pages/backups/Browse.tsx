// What is in a backup: by kind and namespace, each object as YAML, ticked to be brought back.

import { useSignal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import { counted } from '../../format'
import { onKey } from '../../keys'
import { Loading, MissingNote, ProblemNote } from '../../parts/Asking'
import { Note } from '../../parts/Note'
import { Search } from '../../parts/Search'
import { asked, useAsk } from '../../parts/useAsk'
import { adjust, place } from '../../router'
import { BackupChoice } from './BackupChoice'
import { Restore, type Target } from './Restore'
import { bytes, getCommand, isSnapshot, keyOf, newest, type BackupList, type Objects, type Row } from './types'

const PAGE = 200

export function Browse({ list }: { list: BackupList }) {
  const query = place.value.query
  const backup = query.get('backup') ?? newest(list)
  const kind = query.get('kind') ?? ''
  const namespace = query.get('namespace') ?? ''
  const find = query.get('find') ?? ''
  const first = query.get('first') ?? ''
  const opened = query.get('object') ?? ''
  const answer = useAsk<Objects>(
    list.isReadable ? asked('/api/backups/objects', { backup, kind, namespace, find, first }) : '',
  )
  const ticked = useSignal<ReadonlySet<string>>(new Set())
  const restoring = useSignal<Target | null>(null)
  const found = answer.value
  useEffect(() => {
    ticked.value = new Set()
  }, [backup])
  useEffect(() => onKey('Escape', 'close what is open', () => adjust({ object: '' })), [])
  if (!list.isReadable) return null
  const narrow = (changes: Record<string, string>) => adjust({ first: '', object: '', ...changes })
  const row = found?.rows.find((each) => keyOf(each) === opened)
  return (
    <>
      <div class="tools">
        <BackupChoice
          label="In"
          list={list}
          value={backup}
          onChange={(name) => narrow({ backup: name, kind: '', namespace: '', find: '' })}
        />
        <Search value={find} label="Filter objects" hint="Filter by name" onChange={(text) => narrow({ find: text })} />
        <Facet label="Kind" all="every kind" value={kind} counts={found?.kinds ?? []} onChange={(name) => narrow({ kind: name })} />
        <Facet
          label="Namespace"
          all="every namespace"
          value={namespace}
          counts={found?.namespaces ?? []}
          onChange={(name) => narrow({ namespace: name })}
        />
      </div>
      {answer.problem && <ProblemNote problem={answer.problem} again={() => answer.again()} />}
      {!found && !answer.problem && <Loading what="the names in the backup" />}
      {found && (
        <MissingNote
          title={`You may not list ${counted(found.missing.length, 'kind')} in the cluster, so neither in its backups`}
          missing={found.missing}
        />
      )}
      {found && found.matching === 0 && (
        <Note tone="info" title={found.total ? 'No object is found by this filter' : 'There is nothing in it'}>
          <button class="button" onClick={() => narrow({ kind: '', namespace: '', find: '' })}>
            Show all objects
          </button>
        </Note>
      )}
      {found && found.matching > 0 && (
        <>
          <div class="tools">
            <p class="dim">
              {found.matching.toLocaleString()} of {counted(found.total, 'object')}
            </p>
            <span class="grow" />
            {(kind || namespace) && !find && !isSnapshot(backup) && (
              <button
                class="button"
                onClick={() =>
                  (restoring.value = {
                    kinds: kind ? [kind] : [],
                    namespaces: namespace ? [namespace] : [],
                    names: [],
                  })
                }
              >
                Restore all of {[kind, namespace && `namespace ${namespace}`].filter(Boolean).join(' in ')} …
              </button>
            )}
          </div>
          <Table
            found={found}
            opened={opened}
            ticked={ticked.value}
            onTick={isSnapshot(backup) ? undefined : (key) => (ticked.value = toggled(ticked.value, key))}
          />
          <Pager found={found} />
        </>
      )}
      {row && <Opened backup={backup} row={row} onClose={() => adjust({ object: '' })} />}
      {ticked.value.size > 0 && (
        <div class="selection" role="region" aria-label="Ticked objects">
          <p>
            <span class="strong">{ticked.value.size}</span> ticked
          </p>
          <button class="button" onClick={() => (ticked.value = new Set())}>
            Clear
          </button>
          <button
            class="button primary"
            onClick={() => (restoring.value = { kinds: [], namespaces: [], names: [...ticked.value] })}
          >
            Restore …
          </button>
        </div>
      )}
      {restoring.value && (
        <Restore backup={backup} target={restoring.value} onClose={() => (restoring.value = null)} />
      )}
    </>
  )
}

function Facet(props: {
  label: string
  all: string
  value: string
  counts: { name: string; objects: number }[]
  onChange: (name: string) => void
}) {
  const isGone = props.value && !props.counts.some((each) => each.name === props.value)
  return (
    <label class="inline">
      <span class="label">{props.label}</span>
      <select class="field" value={props.value} onChange={(event) => props.onChange(event.currentTarget.value)}>
        <option value="">{props.all}</option>
        {isGone && <option value={props.value}>{props.value}</option>}
        {props.counts.map((each) => (
          <option value={each.name}>
            {each.name} ({each.objects.toLocaleString()})
          </option>
        ))}
      </select>
    </label>
  )
}

function Table(props: {
  found: Objects
  opened: string
  ticked: ReadonlySet<string>
  onTick: ((key: string) => void) | undefined
}) {
  const { onTick } = props
  return (
    <table class="table objects" aria-label={`Objects of ${props.found.title}`}>
      <thead>
        <tr>
          {onTick && (
            <th scope="col" class="tick">
              <span class="hidden">Restore</span>
            </th>
          )}
          <th scope="col">Name</th>
          <th scope="col">Kind</th>
          <th scope="col">Namespace</th>
          <th scope="col" class="number wide-only">
            Size
          </th>
        </tr>
      </thead>
      <tbody>
        {props.found.rows.map((row) => {
          const key = keyOf(row)
          return (
            <tr key={key} class={`${props.ticked.has(key) ? 'selected' : ''} ${props.opened === key ? 'opened' : ''}`}>
              {onTick && (
                <td class="tick">
                  <input
                    type="checkbox"
                    aria-label={`Tick ${key}`}
                    checked={props.ticked.has(key)}
                    onChange={() => onTick(key)}
                  />
                </td>
              )}
              <th scope="row">
                <button class="link" onClick={() => adjust({ object: key })} title={row.name}>
                  {row.name}
                </button>
              </th>
              <td>
                <span class="kind">{row.kind}</span>
              </td>
              <td>{row.namespace || <span class="dim">none</span>}</td>
              <td class="number wide-only">{bytes(row.size)}</td>
            </tr>
          )
        })}
      </tbody>
    </table>
  )
}

function Pager({ found }: { found: Objects }) {
  if (found.matching <= PAGE) return null
  const last = Math.min(found.first + found.rows.length, found.matching)
  return (
    <nav class="pager" aria-label="Pages of the list">
      <button
        class="button"
        disabled={found.first === 0}
        onClick={() => adjust({ first: String(Math.max(found.first - PAGE, 0)) })}
      >
        Before
      </button>
      <span class="dim">
        {(found.first + 1).toLocaleString()} to {last.toLocaleString()}
      </span>
      <button
        class="button"
        disabled={last >= found.matching}
        onClick={() => adjust({ first: String(found.first + PAGE) })}
      >
        After
      </button>
    </nav>
  )
}

function Opened({ backup, row, onClose }: { backup: string; row: Row; onClose: () => void }) {
  const drawer = useRef<HTMLElement>(null)
  const key = keyOf(row)
  const answer = useAsk<{ yaml: string; isMasked: boolean }>(
    asked('/api/backups/object', { backup, kind: row.kind, namespace: row.namespace, name: row.name }),
  )
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null
    drawer.current?.focus()
    return () => before?.focus()
  }, [key])
  return (
    <aside
      class="drawer wide"
      ref={drawer}
      tabIndex={-1}
      aria-label={`Object ${key}`}
      onKeyDown={(event) => {
        if (event.key === 'Escape') onClose()
      }}
    >
      <header>
        <h2>{row.name}</h2>
        <button class="plain" onClick={onClose} aria-label="Close">
          ✕
        </button>
      </header>
      <p class="dim">
        <span class="kind">{row.kind}</span> {row.namespace && `in namespace ${row.namespace}, `}as it was in {backup}
      </p>
      {answer.value?.isMasked && (
        <Note tone="info" title="A Secret's values are never shown here, its keys are" />
      )}
      {answer.problem && <ProblemNote problem={answer.problem} />}
      {!answer.value && !answer.problem && <Loading what="the object" />}
      {answer.value && (
        <pre class="code" tabIndex={0} aria-label="YAML">
          {answer.value.yaml}
        </pre>
      )}
      {answer.value && isSnapshot(backup) && (
        <details>
          <summary>Bring it back</summary>
          <pre class="code wraps" tabIndex={0} aria-label="Command">
            {getCommand(backup, row)}
          </pre>
        </details>
      )}
    </aside>
  )
}

function toggled(ticked: ReadonlySet<string>, key: string): ReadonlySet<string> {
  const result = new Set(ticked)
  if (!result.delete(key)) result.add(key)
  return result
}
