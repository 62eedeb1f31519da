"""Clients of the Open Inference Protocol by other projects, against a real server."""

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from tests.conftest import PROJECT, skip_without
from tests.serving.bundles import INSTANCE
from tests.serving.protocols.open_inference import CLASSES, TASKS

pytestmark = pytest.mark.slow


def columns_of(rows):
    weights = np.array([row.get("weight", np.nan) for row in rows], dtype=np.float32)
    hours = np.array([[row["hour"]] for row in rows], dtype=np.int64)
    depots = np.array([row.get("depot", "") for row in rows], dtype=np.object_)
    return {"weight": (weights, "FP32"), "hour": (hours, "INT64"), "depot": (depots, "BYTES")}


ROWS = [INSTANCE, {"hour": 3}, {"weight": 60.5, "hour": 23, "depot": "west"}]


def inputs_of(library, rows, binary=True):
    made = []
    for name, (values, datatype) in columns_of(rows).items():
        made.append(library.InferInput(name, list(values.shape), datatype))
        made[-1].set_data_from_numpy(values, binary_data=binary)
    return made


def plain(server, name):
    answer = server.client.post(f"/v1/{name}/predict", json={"instances": ROWS})
    assert answer.status_code == 200, answer.text
    return answer.json()["predictions"]


def same(result, expected, names=("score", "decision")):
    for name in names:
        values = result.as_numpy(name).tolist()
        values = [value.decode() if isinstance(value, bytes) else value for value in values]
        assert values == [row[name] for row in expected], name


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_triton_clients_get_the_answers_of_our_api_for_each_task(serve, settings, trained):
    from tritonclient import http
    from tritonclient.http import aio
    from tritonclient.utils import InferenceServerException

    server = serve(settings)
    address = f"127.0.0.1:{server.port}"
    with http.InferenceServerClient(address, connection_timeout=120, network_timeout=120) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
        for version, name in enumerate(TASKS, 1):
            expected = plain(server, name)
            assert client.is_model_ready(name, str(version))
            described = client.get_model_metadata(name)
            assert (described["versions"], described["platform"]) == ([str(version)], "onnx_onnxv1")
            for binary in (True, False):
                result = client.infer(name, inputs_of(http, ROWS, binary), request_id="r-1")
                same(result, expected)
                assert [output["name"] for output in result.get_response()["outputs"]] == [
                    output["name"] for output in described["outputs"]
                ]
                assert (result.get_response()["id"], result.get_response()["model_version"]) == ("r-1", str(version))
            asked = [http.InferRequestedOutput("decision"), http.InferRequestedOutput("score", binary_data=False)]
            result = client.infer(
                name, inputs_of(http, ROWS), model_version=str(version), outputs=asked, request_compression_algorithm="gzip"
            )
            same(result, expected)
            assert result.as_numpy("id") is None
        result = client.infer("parcel_fates", inputs_of(http, ROWS))
        likely = [row["probabilities"] for row in plain(server, "parcel_fates")]
        for label in CLASSES:
            assert result.as_numpy(f"probability_{label}").tolist() == [row[label] for row in likely]
        assert client.is_model_ready("parcels", "7") is False
        with pytest.raises(InferenceServerException, match="version '7' of parcels does not serve; version 1 does"):
            client.infer("parcels", inputs_of(http, ROWS), model_version="7")
        with pytest.raises(InferenceServerException, match="/v2/repository/index is not offered"):
            client.get_model_repository_index()

    async def asynchronous():
        async with aio.InferenceServerClient(address) as client:
            assert await client.is_server_ready()
            return [await client.infer(name, inputs_of(aio, ROWS)) for name in TASKS]

    for name, result in zip(TASKS, asyncio.run(asynchronous()), strict=True):
        same(result, plain(server, name))


MLSERVER = ("mlserver==1.7.1", "pandas<3")
"""Its codecs know no text of pandas 3."""
ASK_WITH_MLSERVER = """
import json, sys, urllib.request
import pandas as pd
from mlserver.codecs import PandasCodec
from mlserver.codecs.json import encode_to_json_bytes
from mlserver.types import InferenceResponse, MetadataModelResponse, MetadataServerResponse

url, names, columns = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])

def get(path, body=None):
    with urllib.request.urlopen(urllib.request.Request(url + path, body, {"content-type": "application/json"})) as answer:
        return answer.read()

MetadataServerResponse.model_validate_json(get("/v2"))
found = {}
for name in names:
    MetadataModelResponse.model_validate_json(get(f"/v2/models/{name}"))
    request = PandasCodec.encode_request(pd.DataFrame(columns))
    answer = get(f"/v2/models/{name}/infer", encode_to_json_bytes(request.model_dump()))
    answer = InferenceResponse.model_validate_json(answer)
    found[name] = PandasCodec.decode_response(answer)[["score", "decision"]].to_dict("records")
print(json.dumps(found))
"""


@pytest.fixture(scope="session")
def mlserver():
    """An interpreter with MLServer, which cannot be installed beside us; made once, and kept."""
    folder = PROJECT / ".benchmarks" / "protocols" / "mlserver"
    python, done = folder / "bin" / "python", folder / "done"
    uv = str(PROJECT / ".tools" / "uv") if (PROJECT / ".tools" / "uv").exists() else shutil.which("uv")
    if not done.exists():
        skip_without(uv, "uv is missing: run `make setup` first")
        make = [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)]
        install = [uv, "pip", "install", "--quiet", "--python", str(python), *MLSERVER]
        for command in (make, install):  # not from here: uv would apply what this project says of its own packages
            result = subprocess.run(command, cwd=tempfile.gettempdir(), capture_output=True, text=True, check=False)
            last = (result.stderr.strip().splitlines() or [""])[-1]
            skip_without(result.returncode == 0, f"MLServer cannot be installed here: {last}")
        done.touch()
    return python


def test_mlservers_codecs_read_the_answer_for_each_task(mlserver, serve, settings, trained):
    server = serve(settings)
    columns = {"weight": [3.5, None, 60.5], "hour": [19, 3, 23], "depot": ["north", "", "west"]}
    url = f"http://127.0.0.1:{server.port}"
    command = [mlserver, "-c", ASK_WITH_MLSERVER, url, json.dumps(list(TASKS)), json.dumps(columns)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tempfile.gettempdir(), check=False)
    assert result.returncode == 0, result.stderr
    expected = {name: [{key: row[key] for key in ("score", "decision")} for row in plain(server, name)] for name in TASKS}
    assert json.loads(result.stdout) == expected
