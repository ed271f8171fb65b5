// From a version to a run: how it is to be done, the plan word for word, and the start of it.

import { useEffect, useRef, useState } from 'preact/hooks'
import { act, asProblem, Problem, type ProblemBody } from '../../api'
import { counted } from '../../format'
import { Loading, MissingNote, ProblemNote } from '../../parts/Asking'
import { Note } from '../../parts/Note'
import { VerdictList } from '../../parts/Verdicts'
import { go } from '../../router'
import { inCluster, state } from '../../session'
import { firstWish, formOf, UpgradeForm, type Wish } from './UpgradeForm'
import type { Plan, Versions } from './types'

export function UpgradePlan({ target, versions }: { target: string; versions: Versions }) {
  const isLocal = state.value.kind === 'in' && state.value.session.isLocal
  // Where there is no repository, the plan says that nothing is backed up.
  const [wish, setWish] = useState<Wish>(firstWish(!isLocal || versions.isManaged, isLocal))
  const [plan, setPlan] = useState<Plan | null>(null)
  const [problem, setProblem] = useState<ProblemBody | null>(null)
  const [busy, setBusy] = useState<'' | 'plan' | 'start'>('')
  const latest = useRef(0)
  const form = formOf(target, wish)
  const asked = JSON.stringify(form)

  async function makePlan(because: ProblemBody | null = null) {
    const mine = ++latest.current
    setBusy('plan')
    try {
      const made = await act<Plan>('/api/upgrade/plan', form)
      if (mine !== latest.current) return
      setPlan(made)
      setProblem(because)
    } catch (error) {
      if (mine !== latest.current) return
      setPlan(null)
      setProblem(asProblem(error))
    }
    setBusy('')
  }

  useEffect(() => {
    latest.current++
    setPlan(null)
    const timer = window.setTimeout(() => void makePlan(), 250)
    return () => window.clearTimeout(timer)
  }, [asked])

  async function start() {
    if (!plan) return
    setBusy('start')
    try {
      const begun = await act<{ run: string }>('/api/upgrade/start', { form, digest: plan.digest })
      go(`/run/${encodeURIComponent(begun.run)}`)
    } catch (error) {
      setBusy('')
      if (error instanceof Problem && error.reason === 'PlanChanged') void makePlan(error)
      else setProblem(asProblem(error))
    }
  }

  const canStart = plan !== null && plan.stepCount > 0 && !plan.isRefused && plan.missing.length === 0 && !busy
  return (
    <section class="plan" aria-label="Plan of the upgrade">
      <h2>To {target}</h2>
      <UpgradeForm
        wish={wish}
        set={(changes) => setWish({ ...wish, ...changes })}
        isLocal={isLocal}
        repository={versions.repository}
      />
      {problem && <ProblemNote problem={problem} again={() => void makePlan()} />}
      {!plan && !problem && <Loading what="the plan" />}
      {plan && <Planned plan={plan} from={versions.server} />}
      {plan && (
        <footer class="plan-foot resting">
          <code class="command" title="The same from the command line" tabIndex={0}>
            {plan.command}
          </code>
          <button class="button primary" disabled={!canStart} onClick={() => void start()}>
            {busy === 'start' ? 'Starting …' : `Start the upgrade${inCluster()}, ${counted(plan.stepCount, 'step')}`}
          </button>
        </footer>
      )}
    </section>
  )
}

function Planned({ plan, from }: { plan: Plan; from: string }) {
  const outlook = plan.outlook
  return (
    <>
      {outlook && outlook.hops.length > 0 && (
        <>
          <ol class="path" aria-label="Hops of the upgrade">
            <li class="leg">
              <span class="leg-name">{from}</span>
            </li>
            {outlook.hops.map((hop, index) => (
              <li class={`leg ${index === outlook.hops.length - 1 ? 'good' : ''}`}>
                <span class="leg-name">{hop}</span>
              </li>
            ))}
          </ol>
          <p class="dim">
            {counted(outlook.drains, 'drain')}, no order has fewer; {counted(outlook.statesProven, 'state')} looked at,
            all inside the skew policy; {counted(plan.stepCount, 'step')}
          </p>
        </>
      )}
      {plan.isRefused && <Note tone="bad" title="This upgrade is refused as it is asked for" hint="Why, and what to do:" />}
      {plan.stepCount === 0 && !plan.isRefused && <p>Everything is at {plan.target} already.</p>}
      <VerdictList verdicts={plan.verdicts} withTarget />
      <MissingNote title="You may look at this plan, and not carry it out" missing={plan.missing} />
      {plan.steps.length > 0 && (
        <details>
          <summary>{counted(plan.stepCount, 'step')}</summary>
          <ol class="steps">
            {plan.steps.map((step) => (
              <li>
                <span class="kind">{step.action}</span> <span class="strong">{step.target}</span> {step.effect}
              </li>
            ))}
          </ol>
        </details>
      )}
      {plan.stepCount > 0 &&
        outlook?.returnPoints.map((each) => (
          <p>
            <span class="strong">Until {each.until || 'the first step'}</span>{' '}
            <span class="dim">{each.way || `no way back: ${each.why}`}</span>
          </p>
        ))}
      {plan.words && (
        <details>
          <summary>The whole plan, word for word, with what each host runs</summary>
          <pre class="code words" tabIndex={0} aria-label="The plan, word for word">
            {plan.words}
          </pre>
        </details>
      )}
    </>
  )
}
