import type { ComponentChildren } from 'preact'

export type Tone = 'info' | 'good' | 'wait' | 'bad'

/** Something to be said: what it is, and what to do next. */
export function Note(props: {
  tone: Tone
  title: string
  hint?: string | undefined
  children?: ComponentChildren
}) {
  return (
    <section class={`note ${props.tone}`} role={props.tone === 'bad' ? 'alert' : 'status'}>
      <p class="note-title">{props.title}</p>
      {props.hint && <p class="note-hint">{props.hint}</p>}
      {props.children && <div class="note-more">{props.children}</div>}
    </section>
  )
}
