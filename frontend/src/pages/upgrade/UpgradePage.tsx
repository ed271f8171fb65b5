// Upgrade: what runs against the skew policy, what would stop an upgrade, and its hops.

import { counted } from '../../format'
import { AsOf, Loading, MissingNote, ProblemNote } from '../../parts/Asking'
import { FindingList, type Findings } from '../../parts/Findings'
import { Note } from '../../parts/Note'
import { VerdictList, type Verdict } from '../../parts/Verdicts'
import { useAsk } from '../../parts/useAsk'
import { adjust, place } from '../../router'
import type { Missing } from '../../stream'

interface Place {
  text: string
  minor: number | null
  count: number
  nodes: string[]
  support: string
}

interface Band {
  name: string
  places: Place[]
  breaks: Record<string, string>
}

interface Versions {
  readAt: string
  server: string
  isManaged: boolean
  picture: { minors: number[]; bands: Band[]; others: Band[] }
  violations: { rule: string; message: string; where: string[]; remedy: string }[]
  notSeen: string[]
  endOfLife: string | null
  minor: number
  targets: { minor: number; version: string }[]
}

interface Plan {
  target: string
  command: string
  outlook: {
    hops: string[]
    drains: number
    statesProven: number
    waves: string[][]
    returnPoints: { until: string; way: string; why: string }[]
  } | null
  verdicts: Verdict[]
  steps: { id: string; action: string; target: string; effect: string }[]
  stepCount: number
  missing: Missing[]
}

export function UpgradePage() {
  const answer = useAsk<Versions>('/api/upgrade/versions')
  const found = answer.value
  const to = place.value.query.get('to') ?? ''
  return (
    <div class="page">
      <div class="title-row">
        <h1>Upgrade</h1>
        {found && (
          <p class="dim">
            {found.server}
            {found.endOfLife && `, patched until ${found.endOfLife}`}
          </p>
        )}
        <span class="grow" />
        <AsOf at={found?.readAt} isBusy={answer.isBusy} again={() => answer.again()} />
      </div>
      {answer.problem && <ProblemNote problem={answer.problem} again={() => answer.again()} />}
      {!found && !answer.problem && <Loading what="versions" />}
      {found && (
        <>
          <Skew found={found} />
          {found.violations.map((each) => (
            <Note tone="bad" title={each.message} hint={`${each.where.join(', ')}. ${each.remedy}`} />
          ))}
          {found.notSeen.length > 0 && (
            <Note tone="wait" title="Not everything could be seen" hint={found.notSeen.join('; ')} />
          )}
          <div class="tools">
            <label class="inline">
              <span class="label">Where to</span>
              <select class="field" value={to} onChange={(event) => adjust({ to: event.currentTarget.value })}>
                <option value="">choose a version</option>
                {found.targets.map((each) => (
                  <option value={String(each.minor)}>{each.version}</option>
                ))}
              </select>
            </label>
          </div>
          {to ? (
            <Target minor={to} />
          ) : (
            <Note tone="info" title="Choose a version" hint="It shows what would stop the upgrade, and its hops." />
          )}
        </>
      )}
    </div>
  )
}

function Skew({ found }: { found: Versions }) {
  const { minors, bands, others } = found.picture
  return (
    <section class="card" aria-label="Versions against the skew policy">
      <div class="skew-frame" tabIndex={0} role="region" aria-label="Versions">
        <table class="skew">
          <thead>
            <tr>
              <th scope="col">Component</th>
              {minors.map((minor) => (
                <th scope="col" class={minor === found.minor ? 'strong' : ''}>
                  1.{minor}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {bands.map((band) => (
              <tr key={band.name}>
                <th scope="row">{band.name}</th>
                {minors.map((minor) => (
                  <Cell band={band} minor={minor} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p class="dim skew-legend">
        <span class="skew-key may" /> may run beside these API servers <span class="skew-key" /> may not
      </p>
      {others.length > 0 && (
        <dl class="facts">
          {others.map((band) => (
            <div>
              <dt>{band.name}</dt>
              <dd>{band.places.map((each) => `${each.text} (${each.count})`).join(', ')}</dd>
            </div>
          ))}
        </dl>
      )}
    </section>
  )
}

function Cell({ band, minor }: { band: Band; minor: number }) {
  const here = band.places.filter((each) => each.minor === minor)
  const broken = band.breaks[String(minor)]
  const says = broken ? `breaks the rule that ${broken}` : 'fits'
  return (
    <td class={broken ? '' : 'may'} title={`${band.name} 1.${minor} ${says}`}>
      {here.map((each) => (
        <span
          class={`skew-mark ${broken ? 'bad' : 'good'}`}
          title={`${each.nodes.slice(0, 20).join(', ')}${each.support === '-' ? '' : `; support ${each.support}`}`}
        >
          {each.text}
          {each.count > 1 && <span class="count"> ×{each.count.toLocaleString()}</span>}
          {broken && <span class="hidden"> {says}</span>}
        </span>
      ))}
    </td>
  )
}

function Target({ minor }: { minor: string }) {
  const plan = useAsk<Plan>(`/api/upgrade/plan?minor=${encodeURIComponent(minor)}`)
  const check = useAsk<{ findings: Findings }>(`/api/upgrade/check?minor=${encodeURIComponent(minor)}`)
  return (
    <>
      <section class="card hops-card" aria-label="Hops">
        <h2>Hops</h2>
        {plan.problem && <ProblemNote problem={plan.problem} again={() => plan.again()} />}
        {!plan.value && !plan.problem && <Loading what="the plan" />}
        {plan.value && <Hops plan={plan.value} />}
      </section>
      <section class="card" aria-label="What would stop it">
        <h2>What would stop or break it</h2>
        {check.problem && <ProblemNote problem={check.problem} again={() => check.again()} />}
        {!check.value && !check.problem && <Loading what="the check" />}
        {check.value && <FindingList found={check.value.findings} />}
      </section>
    </>
  )
}

function Hops({ plan }: { plan: Plan }) {
  const outlook = plan.outlook
  return (
    <>
      {outlook && outlook.hops.length > 0 && (
        <>
          <ol class="path" aria-label="Hops of the upgrade">
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
      {plan.stepCount === 0 && plan.verdicts.length === 0 && <p>Everything is at {plan.target} already.</p>}
      <VerdictList verdicts={plan.verdicts} withTarget />
      <MissingNote title="You may not run this upgrade" missing={plan.missing} />
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
      <details>
        <summary>The whole plan, with the words that each host runs</summary>
        <pre class="code" tabIndex={0} aria-label="Command">
          {plan.command}
        </pre>
      </details>
    </>
  )
}
