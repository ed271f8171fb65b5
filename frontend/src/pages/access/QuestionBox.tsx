import { useEffect, useRef } from 'preact/hooks'
import { onKey } from '../../keys'

/** A field for a question, asked with Enter; `/` goes there. */
export function QuestionBox(props: {
  label: string
  value: string
  hint: string
  examples: string[]
  onAsk: (text: string) => void
}) {
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => onKey('/', 'ask', () => input.current?.focus()), [])
  useEffect(() => {
    if (input.current && document.activeElement !== input.current) input.current.value = props.value
  }, [props.value])
  return (
    <form
      class="question"
      onSubmit={(event) => {
        event.preventDefault()
        props.onAsk(input.current?.value.trim() ?? '')
      }}
    >
      <label class="question-field">
        <span class="label">{props.label}</span>
        <input
          ref={input}
          class="field wide mono"
          type="search"
          spellcheck={false}
          autocomplete="off"
          autocapitalize="off"
          placeholder={props.hint}
          defaultValue={props.value}
        />
      </label>
      <button class="button primary" type="submit">
        Ask
      </button>
      <div class="examples">
        <span class="dim">For example</span>
        {props.examples.map((each) => (
          <button
            type="button"
            class="example"
            onClick={() => {
              if (input.current) input.current.value = each
              props.onAsk(each)
            }}
          >
            {each}
          </button>
        ))}
      </div>
    </form>
  )
}
