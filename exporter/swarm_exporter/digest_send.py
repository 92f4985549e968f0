"""A digest on its way: to Alertmanager, which has the receivers, or to a webhook of theirs.

Alertmanager's API v2 and its webhook format, version 4. Addresses may hold tokens: no message
shows them.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import httpx

from swarm_exporter.errors import SwarmExporterError

_TIMEOUT_SECONDS = 15.0
#: After this time the message counts as resolved; every receiver has had it by then.
_LASTS = timedelta(minutes=5)
_LABELS = {"alertname": "SwarmDigest", "severity": "info"}


def send_to_alertmanager(
    client: httpx.Client, url: str, summary: str, description: str, now: float
) -> None:
    """Give Alertmanager the digest as an alert; its routes choose the receiver.

    Raises SwarmExporterError.
    """
    _post(client, f"{url.rstrip('/')}/api/v2/alerts", [_alert(summary, description, now)])


def send_to_webhook(
    client: httpx.Client, url: str, summary: str, description: str, now: float
) -> None:
    """Post the digest as Alertmanager's webhook receiver would. Raises SwarmExporterError."""
    alert = _alert(summary, description, now) | {"status": "firing"}
    message = {
        "version": "4",
        "groupKey": '{}:{alertname="SwarmDigest"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "digest",
        "groupLabels": {"alertname": _LABELS["alertname"]},
        "commonLabels": _LABELS,
        "commonAnnotations": alert["annotations"],
        "externalURL": "",
        "alerts": [alert],
    }
    _post(client, url, message)


def _alert(summary: str, description: str, now: float) -> dict[str, Any]:
    began = datetime.fromtimestamp(now, timezone.utc)
    return {
        "labels": _LABELS,
        "annotations": {"summary": summary, "description": description},
        "startsAt": began.isoformat(),
        "endsAt": (began + _LASTS).isoformat(),
    }


def _post(client: httpx.Client, url: str, message: object) -> None:
    try:
        answer = client.post(url, json=message, timeout=_TIMEOUT_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SwarmExporterError(
            f"the digest could not be sent ({type(error).__name__}); correct the address"
        ) from None
    if answer.is_error:
        raise SwarmExporterError(
            f"the digest was refused (HTTP {answer.status_code}); look at what receives it"
        )
