// One node: what it is, and everything that is to be said of a drain, with what would clear it.

import { useEffect, useRef } from 'preact/hooks'
import { age, counted } from '../../format'
import { Status } from '../../parts/Status'
import { VerdictList } from '../../parts/Verdicts'
import type { Detail, Item } from './types'

export function NodeDrawer(props: { detail: Detail; isSelected: boolean; onSelect: () => void; onClose: () => void }) {
  const { row, labels, explanation } = props.detail
  const drawer = useRef<HTMLElement>(null)
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null
    drawer.current?.focus()
    return () => before?.focus()
  }, [row.name])
  const hindered = explanation.pods.filter((pod) => pod.action !== 'Skip' && pod.verdicts?.length)
  const others = explanation.pods.filter((pod) => !hindered.includes(pod))
  return (
    <aside
      class="drawer"
      ref={drawer}
      tabIndex={-1}
      aria-label={`Node ${row.name}`}
      onKeyDown={(event) => {
        if (event.key === 'Escape') props.onClose()
      }}
    >
      <header>
        <h2>{row.name}</h2>
        <button class="plain" onClick={props.onClose} aria-label="Close">
          ✕
        </button>
      </header>
      <p class="drawer-state">
        <Status state={row.fitness} />
        {row.status !== 'Ready' && <span class="dim">{row.status}</span>}
      </p>
      <dl class="facts">
        <Fact name="Zone" value={row.zone} />
        <Fact name="Pool" value={row.pool} />
        <Fact name="Kubelet" value={row.kubelet} />
        <Fact name="Kernel" value={row.kernel} />
        <Fact name="OS image" value={row.osImage} />
        <Fact name="Runtime" value={row.runtime} />
        <Fact name="Age" value={age(row.created)} />
        <Fact name="Cordoned by" value={row.cordonedBy} />
      </dl>
      <button class="button" onClick={props.onSelect}>
        {props.isSelected ? 'Take out of the selection' : 'Add to the selection'}
      </button>
      <h3>A drain of this node</h3>
      <p>
        {explanation.drainable
          ? 'It can be drained.'
          : 'It cannot be drained until what blocks it is cleared.'}{' '}
        <span class="dim">{counted(explanation.pods.length, 'pod')}</span>
      </p>
      <VerdictList verdicts={explanation.verdicts} />
      {hindered.map((pod) => (
        <Pod pod={pod} />
      ))}
      {others.length > 0 && (
        <details>
          <summary>{counted(others.length, 'pod')} without an obstacle</summary>
          {others.map((pod) => (
            <Pod pod={pod} />
          ))}
        </details>
      )}
      <details>
        <summary>{counted(Object.keys(labels).length, 'label')}</summary>
        <ul class="labels">
          {Object.entries(labels).map(([key, value]) => (
            <li>
              <span class="dim">{key}=</span>
              {value}
            </li>
          ))}
        </ul>
      </details>
    </aside>
  )
}

function Fact({ name, value }: { name: string; value: string }) {
  if (!value) return null
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  )
}

const WORDS: Record<string, string> = {
  Evict: 'is evicted',
  Delete: 'is deleted',
  Skip: 'stays',
  Refuse: 'is refused',
}

function Pod({ pod }: { pod: Item }) {
  return (
    <div class="pod">
      <p>
        <span class="strong">{pod.key}</span> <span class="dim">{WORDS[pod.action] ?? pod.action}</span>
      </p>
      <VerdictList verdicts={pod.verdicts ?? []} />
    </div>
  )
}
