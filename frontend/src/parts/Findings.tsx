import { counted } from '../format'

export interface Finding {
  rule: string
  severity: 'critical' | 'high' | 'medium' | 'low'
  target: string
  message: string
  title?: string
  evidence?: string[]
  who?: string[]
  remedy?: string
  breaks?: string[]
  place?: string
}

export interface Findings {
  subject: string
  findings: Finding[]
  unchecked: { what: string; why: string; rule?: string }[]
  passed: { rule: string; title?: string }[]
}

const TONES: Record<string, string> = { critical: 'bad', high: 'bad', medium: 'wait', low: 'idle' }
const SHAPES: Record<string, string> = { critical: '■', high: '▲', medium: '◆', low: '○' }

export function SeverityMark({ severity }: { severity: string }) {
  return (
    <span class={`status ${TONES[severity] ?? 'idle'}`}>
      <span class="shape" aria-hidden="true">
        {SHAPES[severity] ?? '○'}
      </span>
      {severity}
    </span>
  )
}

/** What was found, the worst first; then what could not be looked at, which is no pass. */
export function FindingList({ found, most = 100 }: { found: Findings; most?: number }) {
  const shown = found.findings.slice(0, most)
  return (
    <div class="findings">
      {shown.length === 0 && (
        <p>
          Nothing was found. <span class="dim">{counted(found.passed.length, 'check')} passed.</span>
        </p>
      )}
      {shown.map((each) => (
        <details class="finding" key={`${each.rule} ${each.target}`}>
          <summary>
            <SeverityMark severity={each.severity} />
            <span class="finding-what">
              <span class="strong">{each.target || each.rule}</span> {each.message}
            </span>
          </summary>
          <div class="finding-more">
            <p class="dim">
              {each.rule}
              {each.title ? `: ${each.title}` : ''}
              {each.place ? ` (${each.place})` : ''}
            </p>
            <Lines title="Seen by" lines={each.evidence} />
            <Lines title="Who" lines={each.who} />
            {each.remedy && (
              <p class="remedy">
                <span class="strong">Remedy</span> {each.remedy}
              </p>
            )}
            <Lines title="That takes from others" lines={each.breaks} />
          </div>
        </details>
      ))}
      {found.findings.length > most && (
        <p class="dim">and {(found.findings.length - most).toLocaleString()} more, which the command line lists</p>
      )}
      {found.unchecked.length > 0 && (
        <details class="finding" open={found.unchecked.length <= 5}>
          <summary>
            <span class="status idle">
              <span class="shape" aria-hidden="true">
                ?
              </span>
              not checked
            </span>
            <span class="finding-what">{counted(found.unchecked.length, 'thing')} could not be looked at</span>
          </summary>
          <ul class="finding-more">
            {found.unchecked.map((each) => (
              <li>
                <span class="strong">{[each.rule, each.what].filter(Boolean).join(' ')}</span>{' '}
                <span class="dim">{each.why}</span>
              </li>
            ))}
          </ul>
        </details>
      )}
    </div>
  )
}

function Lines({ title, lines }: { title: string; lines: string[] | undefined }) {
  if (!lines?.length) return null
  return (
    <div>
      <p class="label">{title}</p>
      <ul class="bullets">
        {lines.slice(0, 8).map((line) => (
          <li>{line}</li>
        ))}
        {lines.length > 8 && <li class="dim">and {lines.length - 8} more</li>}
      </ul>
    </div>
  )
}
