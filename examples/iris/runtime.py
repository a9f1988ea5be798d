"""How the versions answer: runtimes for MLServer, one class for each way to behave.

Each version's model-settings.json names its class. The broken ones fail as real servers do; none
of it is a switch that an operator could see.
"""

# mypy: disable-error-code="import-not-found,misc"
# (MLServer is installed in the image, not where the types are checked.)

import asyncio
import random

from mlserver.errors import MLServerError
from mlserver.types import InferenceRequest, InferenceResponse, RequestInput
from mlserver_sklearn import SKLearnModel


class Iris(SKLearnModel):
    """Predicts the species; an answer takes 20 ms, whatever the model itself needs of them.

    The rest of the time is slept, not computed: a replica then costs next to no CPU, and several
    versions can be compared on a laptop without slowing each other down.
    """

    answer_seconds = 0.020

    async def load(self) -> bool:
        loaded = bool(await super().load())
        # Python loads some of what an answer needs with the first one: let nobody wait for that.
        await super().predict(make_warmup())
        return loaded

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        clock = asyncio.get_running_loop().time
        due = clock() + self.answer_seconds
        answer = await super().predict(payload)
        await asyncio.sleep(max(0.0, due - clock()))
        return answer


def make_warmup() -> InferenceRequest:
    """One flower, in centimetres."""
    flower = RequestInput(name="flower", shape=[1, 4], datatype="FP64", data=[5.1, 3.5, 1.4, 0.2])
    return InferenceRequest(inputs=[flower])


class FlakyIris(Iris):
    """v3: three requests in ten are answered with HTTP 500."""

    failing_share = 0.3

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        answer = await super().predict(payload)
        if random.random() < self.failing_share:
            # After any other exception uvicorn closes the connection unannounced, and a gateway
            # that has just sent the next request into it answers 502: more than three in ten.
            raise MLServerError("v3 fails on three requests in ten", status_code=500)
        return answer


class SlowIris(Iris):
    """v4: the same answers after 100 ms."""

    answer_seconds = 0.100


class MismatchedIris(Iris):
    """v5: built for another model than the one in its image; notices at start, and exits."""

    expected_features = 5

    async def load(self) -> bool:
        loaded = bool(await super().load())
        found = self._model.n_features_in_
        if found != self.expected_features:
            # An ordinary exception would have MLServer shut down with exit code 0.
            raise SystemExit(f"v5 wants {self.expected_features} features, the model has {found}")
        return loaded
