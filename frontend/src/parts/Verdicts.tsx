import { age } from '../format'

export interface Verdict {
  target: string
  effect: 'Allow' | 'Warn' | 'Skip' | 'Wait' | 'Block'
  reason: string
  message: string
  remedy?: string
  since?: string
}

const TONES: Record<string, string> = { Block: 'bad', Wait: 'wait', Warn: 'wait', Skip: 'idle', Allow: 'good' }

/** What stands in the way, why, since when, and what would clear it. */
export function VerdictList(props: { verdicts: Verdict[]; withTarget?: boolean; most?: number }) {
  const { verdicts, withTarget, most = Infinity } = props
  if (!verdicts.length) return null
  if (verdicts.length > most)
    return (
      <>
        <VerdictList verdicts={verdicts.slice(0, most)} withTarget={withTarget ?? false} />
        <details>
          <summary>{verdicts.length - most} more</summary>
          <VerdictList verdicts={verdicts.slice(most)} withTarget={withTarget ?? false} />
        </details>
      </>
    )
  return (
    <ul class="verdicts">
      {verdicts.map((each) => (
        <li class={TONES[each.effect] ?? 'idle'}>
          <p>
            <span class="effect">{each.effect}</span> <span class="strong">{each.reason}</span>
            {each.since && <span class="dim"> for {age(each.since)}</span>}
            {withTarget && <span class="dim"> · {each.target}</span>}
          </p>
          <p>{each.message}</p>
          {each.remedy && (
            <p class="remedy">
              <span class="strong">Remedy</span> {each.remedy}
            </p>
          )}
        </li>
      ))}
    </ul>
  )
}
