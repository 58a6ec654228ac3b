"""What the API server of the own cluster noted: who asked for what, and when."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from support.clusters import PLACE, Cluster
from support.documents import Object

WRITES = {"create", "update", "patch", "delete", "deletecollection"}


@dataclass(frozen=True)
class Request:
    """A request that was answered."""

    event: Object

    def __str__(self) -> str:
        spec = self.event.get("requestObject", {}).get("spec", {})
        what = "/".join(filter(None, [self.resource, self.what.get("name")]))
        code = self.event["responseStatus"]["code"]
        times = f"{self.begin.time()} {self.end.time()}"
        return f"{times} {self.agent} {self.verb} {what} {spec.get('holderIdentity', '')} {code}"

    @property
    def user(self) -> str:
        return self.event["user"]["username"]

    @property
    def agent(self) -> str:
        """The program, and which of its processes."""
        return self.event.get("userAgent", "")

    @property
    def verb(self) -> str:
        return self.event["verb"]

    @property
    def what(self) -> Object:
        """The object: its resource, namespace and name; empty for a page such as /version."""
        return self.event.get("objectRef", {})

    @property
    def resource(self) -> str:
        return self.what.get("resource", "")

    @property
    def succeeded(self) -> bool:
        return self.event["responseStatus"]["code"] < 300

    @property
    def begin(self) -> datetime:
        return time(self.event["requestReceivedTimestamp"])

    @property
    def end(self) -> datetime:
        return time(self.event["stageTimestamp"])


def time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


class Audit:
    """What has been noted since this was made."""

    def __init__(self, cluster: Cluster) -> None:
        cluster.need_own("it reads what the API server notes")
        self.path: Path = PLACE / "log" / "audit.log"
        self.begin = self.path.stat().st_size

    def requests(self, account: str) -> list[Request]:
        """Those of a service account (NAMESPACE:NAME), as they were answered."""
        user = f"system:serviceaccount:{account}"
        return [request for request in self._all() if request.user == user]

    def count(self, account: str, code: int) -> int:
        """How many of them were answered so."""
        codes = [request.event["responseStatus"]["code"] for request in self.requests(account)]
        return codes.count(code)

    def _all(self) -> Iterator[Request]:
        with self.path.open("rb") as log:
            log.seek(self.begin)
            for line in log:
                # The last one may still be being written.
                if line.endswith(b"\n"):
                    yield Request(json.loads(line))
