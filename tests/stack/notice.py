"""A notification as Alertmanager sends it (payload version 4), made by hand."""

from datetime import datetime
from hashlib import sha256
from typing import Any

from tests.stack.containers import Patient

#: The name of an alert that is posted by hand.
POSTED = "PostedByHand"


def notice(
    engine: str, patient: Patient, *, status: str, starts_at: datetime, alert: str = POSTED
) -> dict[str, Any]:
    """One alert on one container."""
    one = {
        "status": status,
        "labels": {
            "alertname": alert,
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
        "groupKey": f'{{}}:{{alertname="{alert}"}}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "relevo",
        "groupLabels": {},
        "commonLabels": one["labels"],
        "commonAnnotations": {},
        "externalURL": "http://localhost:9093",
        "alerts": [one],
    }
