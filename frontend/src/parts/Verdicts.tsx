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
export function VerdictList({ verdicts, withTarget }: { verdicts: Verdict[]; withTarget?: boolean }) {
  if (!verdicts.length) return null
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
