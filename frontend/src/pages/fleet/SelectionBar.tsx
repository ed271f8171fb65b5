import { counted } from '../../format'

/** What is chosen, and what can be done with it; it is not there while nothing is chosen. */
export function SelectionBar(props: { selected: ReadonlySet<string>; clear: () => void; plan: () => void }) {
  if (!props.selected.size) return null
  return (
    <div class="selection" role="region" aria-label="Selection">
      <p>
        <span class="strong">{counted(props.selected.size, 'node')}</span> selected
      </p>
      <button class="button" onClick={props.clear}>
        Clear
      </button>
      <button class="button primary" onClick={props.plan}>
        Plan a maintenance
      </button>
    </div>
  )
}
