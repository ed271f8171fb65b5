// From a selection to a run: what is to be done, the plan, its rehearsal, and the start.

import { useEffect, useRef, useState } from 'preact/hooks'
import { act, asProblem, Problem, type ProblemBody } from '../../api'
import { counted } from '../../format'
import { Labelled, Text, Tick } from '../../parts/Fields'
import { Note } from '../../parts/Note'
import { VerdictList, type Verdict } from '../../parts/Verdicts'
import { go } from '../../router'
import { inCluster, state } from '../../session'
import type { Missing } from '../../stream'
import { Rehearsal, type RehearsalView } from './Rehearsal'
import { Waves } from './Waves'

export interface Moving {
  pod: string
  node: string
  action: string
  verdicts: Verdict[]
}

export interface PlanView {
  digest: string
  line: string
  command: string
  waves: string[][]
  leastWaves: number
  limits: Record<string, number>
  nodes: string[]
  verdicts: Verdict[]
  refused: string[]
  pods: Moving[]
  steps: number
  missing: Missing[]
}

type Work = 'wait' | 'wait_for' | 'pod' | 'ssh' | 'hook'

interface Wish {
  work: Work
  wait: string
  wait_for: string
  preset: string
  hook: string
  max_unavailable: string
  max_unavailable_per_zone: string
  on_failure: string
  ignore_daemonsets: boolean
  delete_emptydir_data: boolean
  force: boolean
  allow_pending: boolean
  expect_reboot: boolean
  canary: string
  window: string
  soak: string
  update_takes: string
}

const FIRST: Wish = {
  work: 'wait',
  wait: '1m',
  wait_for: 'reboot',
  preset: 'os-update',
  hook: '',
  max_unavailable: '1',
  max_unavailable_per_zone: '',
  on_failure: 'stop',
  ignore_daemonsets: true,
  delete_emptydir_data: false,
  force: false,
  allow_pending: false,
  expect_reboot: false,
  canary: '',
  window: '',
  soak: '0s',
  update_takes: '',
}

const FORESEEN = 200 // nodes of a plan up to which its time line is asked for unbidden

const words = (text: string): string[] => text.split(/[,\s]+/).filter(Boolean)

export function formOf(nodes: string[], wish: Wish): Record<string, unknown> {
  return {
    nodes,
    wait: wish.work === 'wait' ? wish.wait : '',
    wait_for: wish.work === 'wait_for' ? words(wish.wait_for) : [],
    pod: wish.work === 'pod' ? wish.preset : '',
    ssh: wish.work === 'ssh' ? wish.preset : '',
    hook: wish.work === 'hook' ? wish.hook : '',
    expect_reboot: wish.work === 'hook' && wish.expect_reboot,
    max_unavailable: wish.max_unavailable,
    max_unavailable_per_zone: wish.max_unavailable_per_zone,
    on_failure: wish.on_failure,
    ignore_daemonsets: wish.ignore_daemonsets,
    delete_emptydir_data: wish.delete_emptydir_data,
    force: wish.force,
    allow_pending: wish.allow_pending,
    canary: words(wish.canary),
    window: wish.window ? [wish.window] : [],
    soak: wish.soak || '0s',
    update_takes: wish.update_takes,
  }
}

export function PlanPanel({ nodes, onClose }: { nodes: string[]; onClose: () => void }) {
  const [wish, setWish] = useState<Wish>(FIRST)
  const [plan, setPlan] = useState<PlanView | null>(null)
  const [rehearsal, setRehearsal] = useState<RehearsalView | null>(null)
  const [plays, setPlays] = useState(0)
  const [problem, setProblem] = useState<ProblemBody | null>(null)
  const [busy, setBusy] = useState<'' | 'plan' | 'rehearse' | 'start'>('')
  const latest = useRef(new AbortController())
  const isLocal = state.value.kind === 'in' && state.value.session.isLocal
  const form = formOf(nodes, wish)
  const asked = JSON.stringify(form)

  /** Give up whatever is asked for still: what is asked for with this signal takes its place. */
  function anew(): AbortSignal {
    latest.current.abort()
    latest.current = new AbortController()
    return latest.current.signal
  }

  async function doing<T>(
    what: 'rehearse' | 'start',
    ask: () => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T | null> {
    setBusy(what)
    setProblem(null)
    try {
      const found = await ask()
      if (signal?.aborted) return null
      setBusy('')
      return found
    } catch (error) {
      if (signal?.aborted) return null
      setBusy('')
      if (error instanceof Problem && error.reason === 'PlanChanged') void makePlan(error)
      else setProblem(asProblem(error))
      return null
    }
  }

  async function makePlan(because?: ProblemBody) {
    const signal = anew()
    setRehearsal(null)
    setPlays(0)
    setProblem(null)
    setBusy('plan')
    try {
      const made = await act<PlanView>('/api/fleet/plan', form, signal)
      if (signal.aborted) return
      setPlan(made)
      setProblem(because ?? null)
      if (made.nodes.length && made.nodes.length <= FORESEEN) void foresee(made, signal)
    } catch (error) {
      if (signal.aborted) return
      setPlan(null)
      setProblem(asProblem(error))
    }
    setBusy('')
  }

  useEffect(() => {
    // Nothing is begun by a plan of something else that was asked for.
    setPlan(null)
    const timer = window.setTimeout(() => void makePlan(), 250)
    return () => {
      window.clearTimeout(timer)
      latest.current.abort()
    }
  }, [asked])

  /** The time line of a plan, which is shown with it; what is wrong with it is told to who rehearses. */
  async function foresee(made: PlanView, signal: AbortSignal) {
    const played = await play(made, signal).catch(() => null)
    if (played && !signal.aborted) setRehearsal(played)
  }

  /** Play what is there; if nothing is, ask for it, and for nothing else any more. */
  async function rehearse(shown: PlanView) {
    if (!rehearsal) {
      const signal = anew()
      const played = await doing('rehearse', () => play(shown, signal), signal)
      if (!played) return
      setRehearsal(played)
    }
    setPlays((count) => count + 1)
  }

  const play = (shown: PlanView, signal: AbortSignal) =>
    act<RehearsalView>('/api/fleet/rehearse', { form, digest: shown.digest }, signal)

  async function start() {
    const begun = await doing('start', () =>
      act<{ run: string }>('/api/fleet/start', { form, digest: plan?.digest ?? '' }),
    )
    if (begun) go(`/run/${encodeURIComponent(begun.run)}`)
  }

  const set = (changes: Partial<Wish>) => setWish({ ...wish, ...changes })
  const canStart = plan !== null && plan.nodes.length > 0 && plan.missing.length === 0 && !busy
  return (
    <section class="plan" aria-label="Plan a maintenance">
      <header class="plan-head">
        <div>
          <h2>
            Maintenance of {counted(nodes.length, 'node')}
            {inCluster()}
          </h2>
          <p class="dim" aria-live="polite">
            {busy === 'plan' ? 'Planning …' : plan?.nodes.length ? plan.line : ''}
          </p>
        </div>
        <button class="plain" onClick={onClose} aria-label="Close the plan">
          ✕
        </button>
      </header>
      <WishForm wish={wish} set={set} isLocal={isLocal} />
      {problem && <Note tone="bad" title={problem.message} hint={problem.hint} />}
      {plan && <Planned plan={plan} />}
      {rehearsal && plan && <Rehearsal view={rehearsal} shown={plan.digest} plays={plays} />}
      {plan && (
        <footer class="plan-foot">
          <code class="command" title="The same from the command line" tabIndex={0}>
            {plan.command}
          </code>
          <button class="button" disabled={!plan.nodes.length || busy !== ''} onClick={() => void rehearse(plan)}>
            {busy === 'rehearse' ? 'Rehearsing …' : 'Rehearse'}
          </button>
          <button class="button primary" disabled={!canStart} onClick={() => void start()}>
            {startWord(busy === 'start', plan.nodes.length)}
          </button>
        </footer>
      )}
    </section>
  )
}

function startWord(isStarting: boolean, nodes: number): string {
  if (isStarting) return 'Starting …'
  return nodes ? `Start on ${counted(nodes, 'node')}${inCluster()}` : 'Nothing to start'
}

function Planned({ plan }: { plan: PlanView }) {
  const held = plan.pods.filter((each) => each.verdicts.length)
  return (
    <>
      {plan.missing.length > 0 && (
        <Note tone="wait" title="You may look at this plan, and not carry it out" hint="Missing permissions:">
          <ul class="missing">
            {plan.missing.map((each) => (
              <li>
                {each.words} <code>kubectl auth can-i {each.canI}</code>
              </li>
            ))}
          </ul>
        </Note>
      )}
      {plan.refused.length > 0 && (
        <Note tone="bad" title={plan.nodes.length ? 'Some nodes are left out' : 'No node can be maintained as it is'}>
          <ul class="missing">
            {plan.refused.map((each) => (
              <li>{each}</li>
            ))}
          </ul>
        </Note>
      )}
      <VerdictList verdicts={plan.verdicts} withTarget most={4} />
      {plan.waves.length > 0 && <Waves plan={plan} />}
      {held.length > 0 && (
        <details>
          <summary>{counted(held.length, 'pod')} with something to be said beforehand</summary>
          <ul class="held-pods">
            {held.map((each) => (
              <li>
                <span class="strong">{each.pod}</span> <span class="dim">on {each.node}</span>
                <VerdictList verdicts={each.verdicts} />
              </li>
            ))}
          </ul>
        </details>
      )}
    </>
  )
}

function WishForm({ wish, set, isLocal }: { wish: Wish; set: (changes: Partial<Wish>) => void; isLocal: boolean }) {
  return (
    <form class="wish" onSubmit={(event) => event.preventDefault()}>
      <div class="wish-row">
        <Labelled label="At each drained node">
          <select
            class="field"
            value={wish.work}
            onChange={(event) => set({ work: event.currentTarget.value as Work })}
          >
            <option value="wait">wait</option>
            <option value="wait_for">wait for somebody else's work</option>
            <option value="pod">work through a privileged pod</option>
            {isLocal && <option value="ssh">work over SSH</option>}
            {isLocal && <option value="hook">run a command here</option>}
          </select>
        </Labelled>
        <WorkFields wish={wish} set={set} />
        <Text label="Down at once" value={wish.max_unavailable} onText={(text) => set({ max_unavailable: text || '1' })} />
        <Text
          label="Of them in a zone"
          value={wish.max_unavailable_per_zone}
          hint="any"
          onText={(text) => set({ max_unavailable_per_zone: text })}
        />
      </div>
      <div class="ticks">
        <Tick label="leave DaemonSets' pods" flag="--ignore-daemonsets" is={wish.ignore_daemonsets} on={(is) => set({ ignore_daemonsets: is })} />
        <Tick label="give up emptyDir data" flag="--delete-emptydir-data" is={wish.delete_emptydir_data} on={(is) => set({ delete_emptydir_data: is })} />
        <Tick label="give up pods without a controller" flag="--force" is={wish.force} on={(is) => set({ force: is })} />
      </div>
      <details>
        <summary>More</summary>
        <div class="wish-row">
          <Text label="Canaries first" value={wish.canary} hint="1, or a name" onText={(text) => set({ canary: text })} />
          <Text label="Health must hold for" value={wish.soak} onText={(text) => set({ soak: text })} />
          <Text
            label="Window"
            value={wish.window}
            hint="0 22 * * sat 4h Europe/Berlin"
            onText={(text) => set({ window: text })}
          />
          <Text
            label="The work takes, for the rehearsal"
            value={wish.update_takes}
            hint="as asked"
            onText={(text) => set({ update_takes: text })}
          />
          <Labelled label="If a node fails">
            <select class="field" value={wish.on_failure} onChange={(event) => set({ on_failure: event.currentTarget.value })}>
              <option value="stop">begin no other</option>
              <option value="continue">go on with others</option>
            </select>
          </Labelled>
          <Tick label="bear Pending pods" flag="--allow-pending" is={wish.allow_pending} on={(is) => set({ allow_pending: is })} />
        </div>
      </details>
    </form>
  )
}

function WorkFields({ wish, set }: { wish: Wish; set: (changes: Partial<Wish>) => void }) {
  switch (wish.work) {
    case 'wait':
      return <Text label="For" value={wish.wait} onText={(text) => set({ wait: text })} />
    case 'wait_for':
      return (
        <Text
          label="Until another"
          value={wish.wait_for}
          hint="reboot, kernel=6.12.9"
          onText={(text) => set({ wait_for: text })}
        />
      )
    case 'hook':
      return (
        <>
          <Text label="Command" value={wish.hook} hint={'./work "$NODE_NAME"'} onText={(text) => set({ hook: text })} />
          <Tick label="expect a reboot" is={wish.expect_reboot} on={(is) => set({ expect_reboot: is })} />
        </>
      )
    default:
      return (
        <Labelled label="What">
          <select class="field" value={wish.preset} onChange={(event) => set({ preset: event.currentTarget.value })}>
            <option value="os-update">update the OS, reboot if needed</option>
            <option value="reboot">reboot if needed</option>
            <option value="reboot-always">reboot</option>
          </select>
        </Labelled>
      )
  }
}
