import { useState } from 'preact/hooks'
import { Loading, ProblemNote } from '../../parts/Asking'
import { useAsk } from '../../parts/useAsk'
import { place } from '../../router'

/** The plan of a run as the command line shows it, read when it is opened. */
export function PlanWords({ run }: { run: string }) {
  const [isOpen, setOpen] = useState(place.value.query.get('plan') === 'open')
  const answer = useAsk<{ words: string }>(isOpen ? `/api/run/${encodeURIComponent(run)}/plan` : '')
  return (
    <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>The plan, word for word</summary>
      {answer.problem && <ProblemNote problem={answer.problem} again={() => answer.again()} />}
      {isOpen && !answer.value && !answer.problem && <Loading what="the plan" />}
      {answer.value && (
        <pre class="code words" tabIndex={0} aria-label="The plan, word for word">
          {answer.value.words}
        </pre>
      )}
    </details>
  )
}
