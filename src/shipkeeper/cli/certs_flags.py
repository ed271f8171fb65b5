"""Flags of the certificate commands: which hosts and ports are looked at, and how."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, cast

from cyclopts import Group, Parameter

from shipkeeper.access.certs.observe import Wanted, gather
from shipkeeper.access.certs.survey import Survey
from shipkeeper.cli.findings import FindingsFlags
from shipkeeper.cli.flags import Cluster
from shipkeeper.cli.host_flags import HOSTS, HostFlags
from shipkeeper.engine.finding import Severity
from shipkeeper.errors import UsageError
from shipkeeper.kube.connection import connect
from shipkeeper.model.duration import parse_duration

_HORIZON = timedelta(days=30)
_SEVERITIES = frozenset({*Severity, "never"})


@Parameter(name="*", group=Group("Findings", sort_key=3))
@dataclass(frozen=True, kw_only=True)
class CertificateFindings:
    """From when on findings are a failure, how long certificates must last, what is accepted."""

    fail_on: Annotated[
        str,
        Parameter(
            help="Exit code 4: from this severity on (critical, high, medium, low, never), "
            "or if anything ends within this time (30d) or is as bad."
        ),
    ] = "30d"
    baseline: Annotated[str, Parameter(help="A file of findings that are accepted.")] = ""
    write_baseline: Annotated[str, Parameter(help="Write such a file of all there is now.")] = ""

    def horizon(self) -> timedelta:
        """How long certificates must last; UsageError if that makes no sense."""
        return _HORIZON if self.fail_on in _SEVERITIES else _days(self.fail_on)

    def usual(self) -> FindingsFlags:
        """The same as other checks have it: what ends too soon is of medium severity."""
        is_time = self.fail_on not in _SEVERITIES
        return FindingsFlags(
            # One of its words, as was just looked up.
            fail_on=cast("Any", "medium" if is_time else self.fail_on),
            baseline=self.baseline,
            write_baseline=self.write_baseline,
        )


WITHIN_A_MONTH = CertificateFindings()


def _days(text: str) -> timedelta:
    """A duration, also in days (`30d`)."""
    number, unit = text[:-1], text[-1:]
    if unit == "d" and number.isdecimal():
        return timedelta(days=int(number))
    try:
        return parse_duration(text)
    except UsageError as error:
        raise UsageError(
            f"{text!r} is neither a severity nor a time",
            reason="BadFailOn",
            hint="write high, medium, low, never, or how long certificates must last, as 30d",
        ) from error


@Parameter(name="*", group=HOSTS)
@dataclass(frozen=True, kw_only=True)
class LookFlags(HostFlags):
    """Where to look beyond the API."""

    endpoint: Annotated[
        tuple[str, ...], Parameter(help="Look at this port, too ([ROLE=]host:port).")
    ] = ()

    async def survey(self, cluster: Cluster) -> Survey:
        """All that there is to see."""
        async with connect(cluster.options()) as connection:
            return await gather(
                connection,
                Wanted(endpoints=self.endpoint),
                host_of=self.host_of() if self.ssh else None,
                hosts=self.named(),
            )


# By the API and the ports alone.
FROM_HERE = LookFlags()
