import { useEffect, useState } from 'preact/hooks'
import { askClusters, type Cluster, type Clusters } from '../clusters'
import { base } from '../router'
import { Status } from './Status'

const AGAIN = 3_000

/** The clusters as they stand, looked at again for as long as they are shown and can be seen. */
export function useClusters(): Clusters | null {
  const [found, setFound] = useState<Clusters | null>(null)
  useEffect(() => {
    let timer = 0
    let isOver = false
    const again = () => {
      window.clearTimeout(timer)
      if (!isOver && !document.hidden) timer = window.setTimeout(look, AGAIN)
    }
    const look = () => {
      void askClusters().then(setFound, () => undefined).finally(again)
    }
    look()
    document.addEventListener('visibilitychange', again)
    return () => {
      isOver = true
      window.clearTimeout(timer)
      document.removeEventListener('visibilitychange', again)
    }
  }, [])
  return found
}

const STATES: Record<string, [string, string]> = {
  Live: ['ready', 'Live'],
  Stale: ['waiting', 'Stale'],
  Away: ['down', 'Cannot be seen'],
}

/** One line for each: its name, how it stands, and why; `onward` is where its link leads to in it. */
export function ClusterList({ clusters, way, onward }: { clusters: Cluster[]; way: Clusters['way']; onward: string }) {
  return (
    <ul class="clusters">
      {clusters.map((each) => {
        const [state, word] = STATES[each.state ?? ''] ?? ['', '']
        return (
          <li key={each.path}>
            <a href={each.path + onward} aria-current={each.path === base ? 'page' : undefined}>
              <span class="clusters-name">{each.name}</span>
              {word ? <Status state={state} word={word} /> : null}
              {/* Who started the console is in all of them by one link. */}
              {way === 'token' && each.state !== null && !each.isIn && <span class="dim">not logged in</span>}
            </a>
            {each.why && <p class="dim">{each.why}</p>}
          </li>
        )
      })}
    </ul>
  )
}
