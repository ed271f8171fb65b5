"""`shipkeeper certs list|check`: nothing is changed, and no private key is read."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from shipkeeper.access.certs.judge import judge
from shipkeeper.access.certs.report import certificates_report, expiry_metric, listed
from shipkeeper.access.certs.survey import Survey
from shipkeeper.cli.certs_flags import (
    FROM_HERE,
    WITHIN_A_MONTH,
    CertificateFindings,
    LookFlags,
)
from shipkeeper.cli.findings import FindingsOutput, tell_findings
from shipkeeper.cli.flags import CURRENT, Cluster, Output
from shipkeeper.cli.output import show
from shipkeeper.metrics.textfile import replace_text

MetricsFile = Annotated[
    str,
    Parameter(help="Write when each ends to this file, for node_exporter's textfile collector."),
]


async def list_(
    *,
    output: Output = None,
    metrics_file: MetricsFile = "",
    look: LookFlags = FROM_HERE,
    cluster: Cluster = CURRENT,
) -> None:
    """Show every certificate of the cluster in one table, what ends first at the top.

    Files and kubeconfigs of hosts (with --ssh), what each port presents, TLS Secrets, caBundles
    and issued CertificateSigningRequests.
    """
    survey = await look.survey(cluster)
    _keep(survey, metrics_file)
    show(certificates_report(listed(survey), datetime.now(UTC)), output)


async def check(
    *,
    output: FindingsOutput = None,
    findings: CertificateFindings = WITHIN_A_MONTH,
    metrics_file: MetricsFile = "",
    look: LookFlags = FROM_HERE,
    cluster: Cluster = CURRENT,
) -> None:
    """Find certificates that end, do not lead to their authority, or are not for what they do.

    Also ports without TLS or open to anybody, old versions and ciphers, and processes that still
    present a certificate that was renewed. What could not be looked at is said, and never passed.
    """
    horizon = findings.horizon()
    survey = await look.survey(cluster)
    _keep(survey, metrics_file)
    tell_findings(judge(survey, horizon), output, findings.usual())


def _keep(survey: Survey, metrics_file: str) -> None:
    if metrics_file:
        replace_text(Path(metrics_file).expanduser(), expiry_metric(listed(survey).items))
