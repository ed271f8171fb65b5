"""All evidence judged for a target; pure."""

from datetime import datetime

from shipkeeper.engine.finding import Finding, Findings, Passed, in_order
from shipkeeper.upgrade.catalog import Catalog
from shipkeeper.upgrade.check.apis import judge_apis
from shipkeeper.upgrade.check.cluster import judge_cluster
from shipkeeper.upgrade.check.evidence import Evidence
from shipkeeper.upgrade.check.settings import judge_settings

_RULES = (
    *("RemovedApi", "DeprecatedApi", "KindLost", "RemovedFlag", "RemovedFeatureGate"),
    *("RemovedFlagValue", "LockedFeatureGate", "RemovedKubeadmConfig", "BlockingWebhook"),
    *("StoredVersionNotServed", "ConversionDown", "ApiServiceDown", "NodeNotReady"),
    *("DiskPressure", "RuntimeTooOld"),
    *("RemovedFeature", "KubeletBlocksHop", "CertificateExpires", "BackupOld"),
)


def judge(evidence: Evidence, target: int, catalog: Catalog, now: datetime) -> Findings:
    """Every finding, the worst first; rules that found nothing passed, unless they were blind."""
    found: list[Finding] = [
        *judge_apis(evidence, target, catalog),
        *judge_settings(evidence, target, catalog),
        *judge_cluster(evidence, target, now),
    ]
    hit = {each.rule for each in found}
    return Findings(
        subject=f"upgrade from {evidence.versions.server} to v1.{target}",
        findings=in_order(_merged(found)),
        unchecked=evidence.unchecked,
        passed=tuple(
            Passed(rule=each)
            for each in _RULES
            if each not in hit and not _is_blind(each, evidence)
        ),
    )


def _merged(found: list[Finding]) -> list[Finding]:
    """The same rule on the same target is told once."""
    return list({(each.rule, each.target): each for each in reversed(found)}.values())


def _is_blind(rule: str, evidence: Evidence) -> bool:
    """Whether a rule had nothing to look at."""
    if rule in ("RemovedFlag", "RemovedFlagValue", "RemovedFeatureGate", "LockedFeatureGate"):
        return not evidence.programs
    if rule == "RemovedKubeadmConfig":
        return not evidence.kubeadm_config
    if rule == "BackupOld":
        return evidence.backup_at is None
    return rule == "CertificateExpires" and not evidence.certificates
