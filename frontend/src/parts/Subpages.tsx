import { at } from '../router'

export interface Subpage {
  path: string
  title: string
}

/** The parts of a page, each with an address of its own. */
export function Subpages({ parts, now, label }: { parts: Subpage[]; now: string; label: string }) {
  return (
    <nav class="subpages" aria-label={label}>
      {parts.map((each) => (
        <a href={at(each.path)} aria-current={each.path === now ? 'page' : undefined}>
          {each.title}
        </a>
      ))}
    </nav>
  )
}
