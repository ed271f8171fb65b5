// Fields of a form, each with its label.

import type { ComponentChildren } from 'preact'

export function Labelled({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <label class="labelled">
      <span class="label">{label}</span>
      {children}
    </label>
  )
}

export function Text(props: { label: string; value: string; hint?: string; onText: (text: string) => void }) {
  return (
    <Labelled label={props.label}>
      <input
        class="field"
        value={props.value}
        placeholder={props.hint ?? ''}
        spellcheck={false}
        autocomplete="off"
        onChange={(event) => props.onText(event.currentTarget.value.trim())}
      />
    </Labelled>
  )
}

/** A box to tick; `flag` is what remedies call it, which speak of the command line. */
export function Tick(props: { label: string; flag?: string; is: boolean; on: (is: boolean) => void }) {
  return (
    <label class="tick-label">
      <input type="checkbox" checked={props.is} onChange={(event) => props.on(event.currentTarget.checked)} />
      <span>
        {props.label} {props.flag && <code>{props.flag}</code>}
      </span>
    </label>
  )
}
