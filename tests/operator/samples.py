"""A good spec of each kind."""

from typing import Any

GOOD: dict[str, tuple[dict[str, Any], ...]] = {
    "NodeMaintenance": (
        {
            "nodes": {"selector": "tier=web"},
            "action": {"waitFor": {"seen": ["reboot"]}},
            "drain": {"deadline": {"after": "30m", "then": "give-up"}},
            "pace": {"maxUnavailablePerPool": "50%", "poolLabel": "pool"},
            "gates": {"prometheus": "http://prometheus.monitoring:9090", "healthyIf": ["up"]},
        },
        {"nodes": {"all": "Nodes"}, "action": {"pod": {"work": "reboot"}}},
    ),
    "AccessReport": ({"schedule": {"cron": "0 6 * * mon", "timeZone": "UTC"}, "failOn": "high"},),
    "CertificateReport": ({"schedule": {"cron": "0 6 * * *"}, "horizonDays": 14},),
    "BackupRepository": (
        {
            "url": "s3://backups/prod",
            "endpoint": "https://s3.example.com",
            "keySecret": {"name": "writer"},
            "identitySecret": {"name": "reader"},
            "storeSecret": {"name": "s3"},
        },
        {"url": "/backups", "keySecret": {"name": "writer"}},
    ),
    "Backup": (
        {
            "repository": "prod",
            "objects": {
                "namespaces": ["shop"],
                "excludeKinds": ["events", "deployments.apps"],
                "selector": "tier=web",
                "names": ["secret/shop/db"],
            },
            "volumes": {"only": ["claim/shop/*"], "image": "box:1", "namespace": "host-work"},
            "job": {"memoryLimit": "2Gi", "timeLimit": "6h"},
            "deletionPolicy": "Delete",
        },
        {"repository": "prod"},
    ),
    "Restore": (
        {
            "repository": "prod",
            "backup": "latest",
            "objects": {"namespaces": ["shop"]},
            "existing": "update",
            "namespaceMap": {"shop": "shop-2"},
            "volumes": {
                "how": "in-place",
                "only": ["claim/shop/*"],
                "places": {"claim/shop/data": "worker-1:/srv/data"},
                "image": "busybox:stable",
                "namespace": "kube-system",
            },
            "job": {"memoryLimit": "2Gi", "cpuLimit": "2", "timeLimit": "6h"},
            "approved": True,
        },
    ),
    "BackupSchedule": (
        {
            "schedule": {"cron": "0 3 * * *", "timeZone": "Europe/Berlin"},
            "repository": "prod",
            "objects": {"excludeKinds": ["events"]},
            "volumes": {"only": ["claim/shop/*"]},
            "job": {"memoryLimit": "2Gi"},
            "missed": "skip",
            "jitter": "10m",
            "keep": {"daily": 14, "within": "72h"},
            "verify": {"cron": "0 5 * * sun", "timeZone": "UTC"},
        },
        {"schedule": {"cron": "0 3 * * *"}, "repository": "prod", "keep": {"last": 3}},
    ),
    "ClusterUpgrade": (
        {
            "to": "v1.37",
            "via": ["v1.36.3"],
            "wait": {"limit": "2h"},
            "approvedPlan": "0123456789abcdef0123456789abcdef",
            "failOn": "critical",
            "checkEvery": "30m",
            "drain": {"deadline": {"after": "30m", "then": "give-up"}},
            "pace": {"maxUnavailablePerPool": "50%", "poolLabel": "pool"},
            "gates": {"prometheus": "http://prometheus.monitoring:9090", "healthyIf": ["up"]},
        },
        {"to": "v1.37.2"},
    ),
    "MaintenanceWindow": ({"cron": "0 22 * * sat", "length": "4h", "timeZone": "Europe/Berlin"},),
}
