// Upgrade: what runs against the skew policy, what would stop an upgrade, its plan, and its start.

import { useEffect, useRef } from 'preact/hooks'
import { AsOf, Loading, ProblemNote } from '../../parts/Asking'
import { FindingList, type Findings as Found } from '../../parts/Findings'
import { Note } from '../../parts/Note'
import { useAsk } from '../../parts/useAsk'
import { adjust, place } from '../../router'
import { UpgradePlan } from './UpgradePlan'
import type { Band, Versions } from './types'

export function UpgradePage() {
  const answer = useAsk<Versions>('/api/upgrade/versions')
  const found = answer.value
  const to = place.value.query.get('to') ?? ''
  const target = found?.targets.find((each) => String(each.minor) === to)
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
            <Note tone="bad" title={each.message} hint={`${each.where.join(', ')}: ${each.remedy}`} />
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
          {target ? (
            <>
              <UpgradePlan key={target.version} target={target.version} versions={found} />
              <Findings minor={to} />
            </>
          ) : (
            <Note tone="info" title="Choose a version" hint="It shows the plan of the upgrade, and what would stop it." />
          )}
        </>
      )}
    </div>
  )
}

function Skew({ found }: { found: Versions }) {
  const { minors, bands, others } = found.picture
  const frame = useRef<HTMLDivElement>(null)
  useEffect(() => {
    // Where not all fit, what runs now is in sight.
    const now = frame.current?.querySelector<HTMLElement>('thead .strong')
    const names = frame.current?.querySelector<HTMLElement>('thead th')
    if (now && names) frame.current?.scrollTo({ left: now.offsetLeft - names.offsetWidth - now.offsetWidth })
  }, [found.minor])
  return (
    <section class="card" aria-label="Versions against the skew policy">
      <div class="skew-frame" ref={frame} tabIndex={0} role="region" aria-label="Versions">
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
        <span>
          <span class="skew-key may" /> may run beside these API servers
        </span>
        <span>
          <span class="skew-key" /> may not
        </span>
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

function Findings({ minor }: { minor: string }) {
  const check = useAsk<{ findings: Found }>(`/api/upgrade/check?minor=${encodeURIComponent(minor)}`)
  return (
    <section class="card" aria-label="What would stop it">
      <h2>What would stop or break it</h2>
      {check.problem && <ProblemNote problem={check.problem} again={() => check.again()} />}
      {!check.value && !check.problem && <Loading what="the check" />}
      {check.value && <FindingList found={check.value.findings} />}
    </section>
  )
}
