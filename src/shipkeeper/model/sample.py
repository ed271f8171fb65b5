"""What a metrics server answers."""

import msgspec


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One value of a query's result; a scalar has no labels."""

    labels: dict[str, str] = {}
    value: float

    def __str__(self) -> str:
        """The sample as Prometheus writes it: `up{job="x"} 0`."""
        name = self.labels.get("__name__", "")
        others = (f'{key}="{value}"' for key, value in self.labels.items() if key != "__name__")
        return f"{name}{{{','.join(others)}}} {self.value:g}"
