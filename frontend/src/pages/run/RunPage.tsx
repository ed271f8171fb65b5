// Run: one run as it goes on, wave by wave, whoever drives it; held back, let go on, given up.

import { useSignal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { act, asProblem, type ProblemBody } from '../../api'
import { age, clock, counted, moment, span } from '../../format'
import { Dialog } from '../../parts/Dialog'
import { LiveNotes, LivePill } from '../../parts/LiveState'
import { Note } from '../../parts/Note'
import { Status } from '../../parts/Status'
import { useLive } from '../../parts/useLive'
import { VerdictList, type Verdict } from '../../parts/Verdicts'
import { at, base, place } from '../../router'
import { inCluster } from '../../session'
import type { Live } from '../../stream'
import { Budgets } from './Budgets'
import { PlanWords } from './PlanWords'
import { WaveBoard } from './WaveBoard'
import type { Gauge, RunHead, RunNode, SaidNote, Step } from './types'

export function RunPage() {
  const name = place.value.rest
  const opened = useSignal('')
  const live = useLive('run', { run: name, node: opened.value })
  void live.version.value
  const head = live.get<RunHead>('run')
  return (
    <div class="page">
      <div class="title-row">
        <h1>Run</h1>
        {head && <p class="dim">{head.id}</p>}
        <span class="grow" />
        <LivePill live={live} />
      </div>
      <LiveNotes live={live} />
      {live.items.has('none') && <NoRun name={name} />}
      {head && <Shown live={live} head={head} opened={opened.value} open={(node) => (opened.value = node)} />}
      {!live.isLoaded.value && !live.trouble.value && <div class="skeleton" aria-busy="true" aria-label="Loading" />}
    </div>
  )
}

function NoRun({ name }: { name: string }) {
  return name ? (
    <Note tone="wait" title={base ? `There is no run ${name} of this cluster` : `There is no run ${name} in the journal of this machine`}>
      <a class="button" href={at('/journal')}>
        To the journal
      </a>
    </Note>
  ) : (
    <Note
      tone="info"
      title="Nothing has been run yet"
      hint="Choose nodes on the map of the fleet and plan a maintenance; runs begun from the command line show here, too."
    >
      <a class="button primary" href={at('/fleet')}>
        To the fleet
      </a>
    </Note>
  )
}

function Shown(props: { live: Live; head: RunHead; opened: string; open: (node: string) => void }) {
  const { live, head } = props
  const nodes = live.order.map((key) => live.get<RunNode>(key)).filter((node): node is RunNode => node !== undefined)
  const gates = live.list<Step>('gate/')
  const revisions = live.get<string[]>('revisions') ?? []
  const failures = [...nodes.flatMap((node) => node.steps), ...gates]
    .map((step) => step.verdict)
    .filter((verdict): verdict is Verdict => verdict !== null)
    .concat(live.get<Verdict[]>('refused') ?? [])
  const waiting = nodes.reduce((sum, node) => sum + node.waiting, 0)
  return (
    <>
      <Head live={live} head={head} nodes={nodes} waiting={waiting} />
      {failures.length > 0 && (
        <section>
          <h2>What stands in the way</h2>
          <VerdictList verdicts={failures} withTarget most={8} />
        </section>
      )}
      <Budgets gauges={live.list<Gauge>('budget/')} isOver={isOver(head)} />
      <WaveBoard live={live} nodes={nodes} gates={gates} opened={props.opened} open={props.open} />
      <PlanWords key={head.id} run={head.id} revisions={revisions.length} />
      <Said notes={live.get<SaidNote[]>('notes') ?? []} revisions={revisions} />
    </>
  )
}

function isOver(head: RunHead): boolean {
  return head.outcome !== null && !['Interrupted', 'Aborting'].includes(head.outcome)
}

/** A run in a word: what it does, or what became of it. */
function wordOf(head: RunHead, waiting: number): { state: string; word: string } {
  if (head.isDriven && head.isPaused) return { state: 'cordoned', word: 'Paused' }
  if (head.isDriven && waiting) return { state: 'waiting', word: 'Running, pods wait' }
  if (head.isDriven) return { state: 'Begun', word: 'Running' }
  if (head.outcome === 'Succeeded') return { state: 'Done', word: 'Succeeded' }
  if (head.outcome === null || head.outcome === 'Interrupted') return { state: 'waiting', word: 'Interrupted' }
  if (head.outcome === 'Aborted') return { state: 'Undone', word: 'Aborted' }
  if (head.outcome === 'Aborting') return { state: 'waiting', word: 'Half aborted' }
  if (head.outcome === 'Incomplete') return { state: 'waiting', word: 'Done, but for what was refused' }
  return { state: 'Failed', word: head.outcome }
}

function Head({ live, head, nodes, waiting }: { live: Live; head: RunHead; nodes: RunNode[]; waiting: number }) {
  const done = nodes.filter((node) => node.state === 'Done').length
  const moved = nodes.reduce((sum, node) => sum + node.moved, 0)
  const moving = nodes.reduce((sum, node) => sum + node.moving, 0)
  const { state, word } = wordOf(head, waiting)
  const until = head.finishedAt ? Date.parse(head.finishedAt) : Date.now()
  return (
    <section class="card run-head">
      <div class="run-what">
        <p class="run-state">
          <Status state={state} word={word} />
        </p>
        <p>{head.what}</p>
        <p class="dim">
          {head.person || 'somebody'} by {head.door === 'console' ? 'the console' : 'the command line'}, {moment(head.startedAt)}
        </p>
      </div>
      <Figure name="Nodes done" value={`${done} of ${nodes.length}`} part={nodes.length ? done / nodes.length : 0} />
      <Figure name="Pods moved" value={`${moved} of ${moving}`} part={moving ? moved / moving : 0} />
      <Figure name="Time" value={span((until - Date.parse(head.startedAt)) / 1000)} />
      <Acts live={live} head={head} />
    </section>
  )
}

function Figure({ name, value, part }: { name: string; value: string; part?: number }) {
  return (
    <div class="figure">
      <p class="dim">{name}</p>
      <p class="figure-value">{value}</p>
      {part !== undefined && (
        <div class="progress" role="progressbar" aria-label={name} aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(part * 100)}>
          <span style={{ width: `${part * 100}%` }} />
        </div>
      )}
    </div>
  )
}

function Acts({ head }: { live: Live; head: RunHead }) {
  const problem = useSignal<ProblemBody | null>(null)
  const busy = useSignal('')
  const isAsking = useSignal(false)
  const isOurs = ['drain', 'maintain', 'upgrade'].includes(head.procedure)
  const isRestore = head.procedure === 'restore'
  useEffect(() => {
    problem.value = null
  }, [head.id])
  async function doIt(what: string) {
    busy.value = what
    problem.value = null
    try {
      await act(`/api/run/${what}`, { run: head.id })
    } catch (error) {
      problem.value = asProblem(error)
    } finally {
      busy.value = ''
    }
  }
  return (
    <div class="acts">
      <div class="acts-row">
        {isOurs && head.isDriven && !head.isPaused && head.procedure === 'maintain' && (
          <button class="button" disabled={busy.value !== ''} onClick={() => void doIt('pause')}>
            {busy.value === 'pause' ? 'Pausing …' : `Pause${inCluster()}`}
          </button>
        )}
        {isOurs && !isOver(head) && (head.isPaused || !head.isDriven) && head.outcome !== 'Aborting' && (
          <button class="button primary" disabled={busy.value !== ''} onClick={() => void doIt('resume')}>
            {busy.value === 'resume' ? 'Resuming …' : `Resume${inCluster()}`}
          </button>
        )}
        {(isOurs || isRestore) && !head.isDriven && !['Succeeded', 'Aborted', 'Incomplete'].includes(head.outcome ?? '') && (
          <button class="button danger" disabled={busy.value !== ''} onClick={() => (isAsking.value = true)}>
            {busy.value === 'abort' ? 'Aborting …' : `Abort${inCluster()}`}
          </button>
        )}
        <a class="button" href={at(`/api/run/${encodeURIComponent(head.id)}/export.html`)} download={`${head.id}.html`}>
          Keep as HTML
        </a>
      </div>
      {problem.value && <Note tone="bad" title={problem.value.message} hint={problem.value.hint} />}
      {isAsking.value && (
        <Dialog title={`Give this run${inCluster()} up?`} onClose={() => (isAsking.value = false)}>
          <p>
            {isRestore
              ? 'Webhooks that it quieted are put back. Objects that it brought back stay'
              : 'Nodes that it cordoned, and only those, are uncordoned. Pods that moved stay where they are'}
            {head.procedure === 'upgrade' && ', what was upgraded stays upgraded'}.
          </p>
          <div class="acts-row">
            <button
              class="button danger"
              onClick={() => {
                isAsking.value = false
                void doIt('abort')
              }}
            >
              Give it up{inCluster()}
            </button>
            <button class="button" onClick={() => (isAsking.value = false)}>
              Leave it
            </button>
          </div>
        </Dialog>
      )}
    </div>
  )
}

function Said({ notes, revisions }: { notes: SaidNote[]; revisions: string[] }) {
  return (
    <section class="said">
      <h2>What hosts and the run said</h2>
      {revisions.length > 0 && (
        <ul class="revisions">
          {revisions.map((each) => (
            <li>
              <span class="strong">Planned anew:</span> {each}
            </li>
          ))}
        </ul>
      )}
      {notes.length === 0 ? (
        <p class="dim">Nothing so far.</p>
      ) : (
        <ol class="log" aria-label={counted(notes.length, 'line')} tabIndex={0}>
          {notes.map((note) => (
            <li class={note.isWarning ? 'wait' : ''}>
              <span class="dim" title={age(note.at)}>
                {clock(note.at)}
              </span>{' '}
              {note.message}
            </li>
          ))}
        </ol>
      )}
    </section>
  )
}
