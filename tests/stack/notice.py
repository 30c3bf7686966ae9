"""A notification as Alertmanager sends it (payload version 4), made by hand."""

from datetime import datetime
from hashlib import sha256
from typing import Any

from tests.stack.containers import Patient


def notice(engine: str, patient: Patient, *, status: str, starts_at: datetime) -> dict[str, Any]:
    """One alert on one container."""
    alert = {
        "status": status,
        "labels": {
            "alertname": "PostedByHand",
            "engine": engine,
            "name": patient.name,
            "severity": "critical",
        },
        "annotations": {},
        "startsAt": starts_at.isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "",
        "fingerprint": sha256(patient.name.encode()).hexdigest()[:16],
    }
    return {
        "version": "4",
        "groupKey": '{}:{alertname="PostedByHand"}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "relevo",
        "groupLabels": {},
        "commonLabels": alert["labels"],
        "commonAnnotations": {},
        "externalURL": "http://localhost:9093",
        "alerts": [alert],
    }
