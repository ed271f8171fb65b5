import { counted } from '../../format'

/** What is chosen, and what can be done with it; it is not there while nothing is chosen. */
export function SelectionBar({ selected, clear }: { selected: ReadonlySet<string>; clear: () => void }) {
  if (!selected.size) return null
  return (
    <div class="selection" role="region" aria-label="Selection">
      <p>
        <span class="strong">{counted(selected.size, 'node')}</span> selected
      </p>
      <span class="grow" />
      <button class="button" onClick={clear}>
        Clear
      </button>
    </div>
  )
}
