"""Requests of the Open Inference Protocol, as JSON and with bytes, and what is expected of their responses."""

import json
import struct

TASKS = {"parcels": "binary_classification", "parcel_fates": "multiclass", "parcel_prices": "regression"}
CLASSES = ("on_time", "late", "lost")
LENGTH = "Inference-Header-Content-Length"


def tensor(name, datatype, values, **more):
    return {"name": name, "datatype": datatype, "shape": [len(values)], "data": values, **more}


HOUR = tensor("hour", "FP64", [19])


def infer(client, *inputs, name="parcels", **more):
    return client.post(f"/v2/models/{name}/infer", json={"inputs": list(inputs), **more})


def outputs(response):
    assert response.status_code == 200, response.text
    return {output["name"]: output for output in response.json()["outputs"]}


def refused(response, status, *message):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    (name, text), *rest = response.json().items()
    assert (name, rest) == ("error", [])
    for part in message:
        assert part in text
    return text


def packed(*inputs):
    """A body of the extension; an input is (name, datatype, rows, bytes)."""
    described = [
        {"name": name, "datatype": datatype, "shape": [rows], "parameters": {"binary_data_size": len(content)}}
        for name, datatype, rows, content in inputs
    ]
    header = json.dumps({"inputs": described, "parameters": {"binary_data_output": True}}).encode()
    return header + b"".join(content for *_, content in inputs), {LENGTH: str(len(header))}


def texts(*values):
    return b"".join(struct.pack("<I", len(value.encode())) + value.encode() for value in values)


def journal(settings):
    paths = sorted((settings.serving_state / "journal").glob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]
