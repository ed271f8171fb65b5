import { useEffect, useRef, useState } from 'preact/hooks'
import { Loading, ProblemNote } from '../../parts/Asking'
import { useAsk } from '../../parts/useAsk'
import { place } from '../../router'

/** The plan of a run as the command line shows it, read when it is opened and when it is revised. */
export function PlanWords({ run, revisions }: { run: string; revisions: number }) {
  const isWanted = place.value.query.get('plan') === 'open'
  const [isOpen, setOpen] = useState(isWanted)
  const summary = useRef<HTMLElement>(null)
  const read = useRef(revisions)
  const answer = useAsk<{ words: string }>(isOpen ? `/api/run/${encodeURIComponent(run)}/plan` : '')
  const isThere = answer.value !== undefined
  useEffect(() => {
    if (read.current !== revisions) answer.again()
    read.current = revisions
  }, [revisions])
  useEffect(() => {
    if (!isWanted || !isThere) return
    summary.current?.focus({ preventScroll: true })
    summary.current?.scrollIntoView()
  }, [isThere])
  return (
    <details open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary ref={summary} class="plan-words">The plan, word for word</summary>
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
