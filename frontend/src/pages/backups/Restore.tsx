// Bringing objects back: what becomes of each, what the API server would say, and the start.

import { useEffect, useRef, useState } from 'preact/hooks'
import { act, asProblem, Problem, type ProblemBody } from '../../api'
import { counted } from '../../format'
import { Loading, MissingNote, ProblemNote } from '../../parts/Asking'
import { Dialog } from '../../parts/Dialog'
import { Note } from '../../parts/Note'
import { go } from '../../router'
import { inCluster } from '../../session'
import { keyOf, type Planned, type RestorePlan } from './types'

export interface Target {
  kinds: string[]
  namespaces: string[]
  names: string[]
}

const EXISTING: [string, string][] = [
  ['skip', 'stays as it is'],
  ['update', 'is updated to the backup'],
  ['recreate', 'is updated, or deleted and made again where it cannot be'],
]
const WRITES = ['Create', 'Update', 'Recreate', 'Delete']
const TONES: Record<string, string> = {
  Create: 'good',
  Update: 'busy',
  Recreate: 'wait',
  Delete: 'bad',
  Skip: 'idle',
  Refuse: 'bad',
}

export function Restore({ backup, target, onClose }: { backup: string; target: Target; onClose: () => void }) {
  const [existing, setExisting] = useState('skip')
  const [isScaled, setScaled] = useState(false)
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set())
  const [plan, setPlan] = useState<RestorePlan | null>(null)
  const [shown, setShown] = useState<Planned[]>([])
  const [problem, setProblem] = useState<ProblemBody | null>(null)
  const [busy, setBusy] = useState<'' | 'plan' | 'ask' | 'start'>('')
  const latest = useRef(0)
  const names = target.names.filter((each) => !left.has(each))
  const form = {
    backup,
    kinds: target.kinds,
    namespaces: target.namespaces,
    names,
    not_names: target.names.length ? [] : [...left],
    existing,
    scaled_to_zero: isScaled,
  }
  const wanted = JSON.stringify(form)
  const isNothing = target.names.length > 0 && names.length === 0

  async function makePlan(asksServer: boolean, why: ProblemBody | null = null) {
    const mine = ++latest.current
    if (isNothing) {
      setPlan(null)
      setBusy('')
      return
    }
    setBusy(asksServer ? 'ask' : 'plan')
    try {
      const made = await act<RestorePlan>('/api/backups/plan', { form, asks_server: asksServer })
      if (mine !== latest.current) return
      setPlan(made)
      setProblem(why)
      // What is unticked drops out of the plan, and stays in the list to be ticked again.
      setShown((before) => merged(before, made.objects, left))
    } catch (error) {
      if (mine !== latest.current) return
      setPlan(null)
      setProblem(asProblem(error))
    }
    setBusy('')
  }

  async function begin() {
    if (!plan) return
    setBusy('start')
    try {
      const { run } = await act<{ run: string }>('/api/backups/restore', { form, digest: plan.digest })
      onClose()
      go(`/run/${run}`)
    } catch (error) {
      setBusy('')
      if (error instanceof Problem && error.reason === 'PlanChanged') void makePlan(false, error)
      else setProblem(asProblem(error))
    }
  }

  useEffect(() => {
    // Nothing is begun by a plan of something else that was asked for.
    setPlan(null)
    void makePlan(false)
  }, [wanted])

  const writes = plan ? WRITES.reduce((total, each) => total + (plan.counts[each] ?? 0), 0) : 0
  return (
    <Dialog title={`Restore from ${backup}${inCluster()}`} onClose={onClose}>
      <fieldset class="choices">
        <legend class="label">What is there already and differs</legend>
        {EXISTING.map(([value, word]) => (
          <label class="tick-label">
            <input
              type="radio"
              name="existing"
              value={value}
              checked={existing === value}
              onChange={() => setExisting(value)}
            />
            {word}
          </label>
        ))}
      </fieldset>
      <label class="tick-label">
        <input type="checkbox" checked={isScaled} onChange={(event) => setScaled(event.currentTarget.checked)} />
        Workloads come back without replicas, jobs suspended
      </label>
      {problem && <ProblemNote problem={problem} again={() => void makePlan(false)} />}
      {isNothing && <Note tone="info" title="Nothing is ticked" />}
      {!plan && !problem && !isNothing && <Loading what="the plan" />}
      {plan && (
        <p aria-live="polite">
          {Object.entries(plan.counts).map(([action, count]) => (
            <span class={`goal ${TONES[action] ?? 'idle'}`}>
              {action} {count.toLocaleString()}
            </span>
          ))}
          {Object.keys(plan.counts).length === 0 && 'Nothing of this can be restored.'}
        </p>
      )}
      {shown.length > 0 && (
        <ul class="planned" aria-label="What becomes of each object">
          {shown.map((each) => (
            <PlannedLine
              each={each}
              isOn={!left.has(keyOf(each))}
              onTick={() => setLeft((before) => toggled(before, keyOf(each)))}
            />
          ))}
        </ul>
      )}
      {plan && plan.leftOut > 0 && (
        <p class="dim">and {counted(plan.leftOut, 'object')} that are as they should be, or more than are shown</p>
      )}
      {plan?.wasAsked && (
        <Note
          tone={plan.counts.Refuse ? 'wait' : 'good'}
          title={
            plan.counts.Refuse
              ? `The API server, or the plan, refuses ${counted(plan.counts.Refuse, 'object')}`
              : 'The API server would take all that is to be created'
          }
          hint="Nothing was written for it."
        />
      )}
      {plan && <MissingNote title="You may not restore this" missing={plan.missing} />}
      {plan && (
        <details>
          <summary>The same as a command</summary>
          <pre class="code wraps" tabIndex={0} aria-label="Command">
            {plan.command}
          </pre>
        </details>
      )}
      <div class="tools">
        <button class="button" disabled={!plan || busy !== ''} onClick={() => void makePlan(true)}>
          {busy === 'ask' ? 'Asking …' : 'Dry run on the server'}
        </button>
        <span class="grow" />
        <button
          class="button primary"
          disabled={!plan?.hasWork || plan.missing.length > 0 || busy !== ''}
          onClick={() => void begin()}
        >
          {busy === 'start' ? 'Starting …' : writes ? `Restore ${counted(writes, 'object')}${inCluster()}` : 'Nothing to restore'}
        </button>
      </div>
    </Dialog>
  )
}

function PlannedLine({ each, isOn, onTick }: { each: Planned; isOn: boolean; onTick: () => void }) {
  return (
    <li class={isOn ? '' : 'faint'}>
      <label>
        <input type="checkbox" checked={isOn} onChange={onTick} />
        <span class={`goal ${TONES[each.action] ?? 'idle'}`}>{each.action}</span>
        <span class="planned-name">
          <span class="kind">{each.kind}</span>
          {each.namespace && <span class="dim">{each.namespace}/</span>}
          {each.name}
        </span>
      </label>
      {isOn && each.message && (
        <p class="planned-why">
          {each.message}
          {each.remedy && <span class="remedy"> {each.remedy}</span>}
        </p>
      )}
    </li>
  )
}

function merged(before: Planned[], now: Planned[], left: ReadonlySet<string>): Planned[] {
  const fresh = new Map(now.map((each) => [keyOf(each), each]))
  const kept = before
    .filter((each) => fresh.has(keyOf(each)) || left.has(keyOf(each)))
    .map((each) => fresh.get(keyOf(each)) ?? each)
  const known = new Set(kept.map(keyOf))
  return [...kept, ...now.filter((each) => !known.has(keyOf(each)))]
}

function toggled(left: ReadonlySet<string>, key: string): ReadonlySet<string> {
  const result = new Set(left)
  if (!result.delete(key)) result.add(key)
  return result
}
