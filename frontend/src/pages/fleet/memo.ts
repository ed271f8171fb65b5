import { Component, type ComponentChildren, type FunctionComponent } from 'preact'

/** A component that is drawn again only when its properties are not the same, by a rule. */
export function memo<Props extends object>(
  draw: (props: Props) => ComponentChildren,
  isSame: (old: Props, now: Props) => boolean,
): FunctionComponent<Props> {
  class Kept extends Component<Props> {
    override shouldComponentUpdate(next: Props): boolean {
      return !isSame(this.props as Props, next)
    }
    override render(): ComponentChildren {
      return draw(this.props as Props)
    }
  }
  return Kept as unknown as FunctionComponent<Props>
}
