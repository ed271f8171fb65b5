// States: always a shape and a word beside the colour.

const LOOKS: Record<string, { tone: string; shape: string; word: string }> = {
  ready: { tone: 'good', shape: '●', word: 'Ready' },
  waiting: { tone: 'wait', shape: '▲', word: 'Would wait' },
  blocked: { tone: 'bad', shape: '■', word: 'Blocked' },
  cordoned: { tone: 'held', shape: '◆', word: 'Cordoned' },
  down: { tone: 'down', shape: '✕', word: 'Not ready' },
  Pending: { tone: 'idle', shape: '○', word: 'Pending' },
  Begun: { tone: 'busy', shape: '◐', word: 'Under way' },
  Done: { tone: 'good', shape: '●', word: 'Done' },
  Failed: { tone: 'bad', shape: '✕', word: 'Failed' },
  Undone: { tone: 'held', shape: '↶', word: 'Undone' },
  Refused: { tone: 'bad', shape: '■', word: 'Refused' },
}

export interface Looks {
  tone: string
  shape: string
  word: string
}

export function looksOf(state: string): Looks {
  return LOOKS[state] ?? { tone: 'idle', shape: '○', word: state }
}

export function Status({ state, word }: { state: string; word?: string }) {
  const looks = looksOf(state)
  return (
    <span class={`status ${looks.tone}`}>
      <span class="shape" aria-hidden="true">
        {looks.shape}
      </span>
      {word ?? looks.word}
    </span>
  )
}
