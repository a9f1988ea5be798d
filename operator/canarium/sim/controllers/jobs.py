"""Jobs that judge a canary: each ends in its own time, as was said of the version that it tries."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal

from canarium.core.names import GIVEN_PREFIX
from canarium.sim.apiserver import ApiServer, Change, Key
from canarium.sim.fields import Json

CONTROLLER = "kube-controller-manager"
REACT_SECONDS = 0.1
"From a Job's creation to its pod's."
Ending = Literal["Complete", "Failed", "Never"]


@dataclass(frozen=True, slots=True)
class Course:
    """How a Job ends, and how long it takes; one that never ends runs into its deadline."""

    ending: Ending = "Complete"
    seconds: float = 2.0


class Jobs:
    """The Job controller and the pods of Jobs in one. A Job succeeds by default."""

    def __init__(self, server: ApiServer, loop: asyncio.AbstractEventLoop) -> None:
        self._courses: dict[str, Course] = {}
        self._server = server
        self._loop = loop
        server.listen(self._look)

    def behave(self, version: str, course: Course) -> None:
        """From now on Jobs that try a version go this way."""
        self._courses[version] = course

    def course(self, version: str) -> Course:
        """How a Job that tries this version goes."""
        return self._courses.get(version, Course())

    def _look(self, change: Change) -> None:
        if change.kind != "Job" or change.type != "ADDED":
            return
        course = self.course(_version(change.body))
        deadline = change.body["spec"]["activeDeadlineSeconds"]
        late = course.ending == "Never" or course.seconds > deadline
        uid, end = change.body["metadata"]["uid"], _end("Complete")
        if late:
            end = _end(
                "Failed", "DeadlineExceeded", "Job was active longer than specified deadline"
            )
        elif course.ending == "Failed":
            words = "Job has reached the specified backoff limit"
            end = _end("Failed", "BackoffLimitExceeded", words)
        self._loop.call_later(REACT_SECONDS, self._say, change.key, uid, {"active": 1})
        self._loop.call_later(deadline if late else course.seconds, self._say, change.key, uid, end)

    def _say(self, key: Key, uid: str, status: Json) -> None:
        found = self._server.find("Job", key)
        if found is not None and found["metadata"]["uid"] == uid:
            self._server.write("Job", key, lambda body: {**body, "status": status}, CONTROLLER)


def _version(body: Json) -> str:
    """The version that the Job's container is told."""
    (container,) = body["spec"]["template"]["spec"]["containers"]
    given = {variable["name"]: variable.get("value", "") for variable in container["env"]}
    return str(given[f"{GIVEN_PREFIX}VERSION"])


def _end(ending: str, reason: str = "", message: str = "") -> Json:
    condition = {"type": ending, "status": "True", "reason": reason, "message": message}
    counted = "succeeded" if ending == "Complete" else "failed"
    return {counted: 1, "conditions": [condition]}
