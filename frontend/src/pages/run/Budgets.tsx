import { counted } from '../../format'
import type { Gauge } from './types'

/** Budgets as gauges: the healthy pods, and the line that they must not fall below. */
export function Budgets({ gauges, isOver }: { gauges: Gauge[]; isOver: boolean }) {
  if (!gauges.length) return null
  return (
    <section>
      <h2>
        Budgets {isOver && <span class="dim">as they are now</span>}
      </h2>
      <ul class="gauges">
        {gauges.map((each) => (
          <BudgetGauge key={each.name} gauge={each} />
        ))}
      </ul>
    </section>
  )
}

function BudgetGauge({ gauge }: { gauge: Gauge }) {
  const total = Math.max(gauge.expected, gauge.healthy, gauge.line, 1)
  const part = (count: number) => `${(Math.min(count, total) / total) * 100}%`
  const isBelow = gauge.healthy < gauge.line
  const lowest = gauge.lowest ?? gauge.healthy
  const tone = isBelow ? 'bad' : gauge.healthy === gauge.line ? 'wait' : 'good'
  const words = isBelow
    ? 'below its line'
    : gauge.allowed
      ? `${gauge.allowed} may go`
      : 'at its line, none may go'
  return (
    <li class={`gauge ${tone}`}>
      <p class="gauge-name ellipsis" title={gauge.name}>
        {gauge.name}
      </p>
      <div
        class="gauge-track"
        role="meter"
        aria-label={`Healthy pods of ${gauge.name}`}
        aria-valuemin={0}
        aria-valuemax={total}
        aria-valuenow={gauge.healthy}
        aria-valuetext={`${gauge.healthy} of ${gauge.expected} healthy, at least ${gauge.line}: ${words}`}
      >
        <span class="gauge-fill" style={{ width: part(gauge.healthy) }} />
        <span class="gauge-line" style={{ left: part(gauge.line) }} />
      </div>
      <p class="gauge-words">
        <span class="tone-text">
          {gauge.healthy} of {gauge.expected} healthy
        </span>
        <span class="dim">
          {' '}
          at least {gauge.line}, {words}
        </span>
      </p>
      <p class="dim">
        {gauge.waiting ? `${counted(gauge.waiting, 'pod')} waiting for it; ` : ''}
        {gauge.lowest === null ? 'lowest: not known here' : `lowest seen ${gauge.lowest}`}
        {lowest < gauge.line && !isBelow ? ', which was below its line' : ''}
      </p>
    </li>
  )
}
